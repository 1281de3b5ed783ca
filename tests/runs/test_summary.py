import json
import re

import pytest

from labkit.context import FACTS
from labkit.errors import StateError
from labkit.params import Params
from labkit.runs import report
from labkit.runs.folder import RunFolder
from labkit.runs.notebooks import NotebookFailed
from labkit.runs.summary import SCHEMA, build, headline

FIGURE = {"value": 151.0, "low": 150.1, "high": 152.2}
FACTS_OF_A_RUN = {
    "versions": {"linkerd": "edge-26.6.3"},
    "mirror": {"endpoints": ["198.51.100.10"], "gateway": ["198.51.100.10"]},
    "checks": {
        "01": [
            {
                "id": "01.a",
                "title": "a",
                "clusters": ["west"],
                "status": "pass",
                "reason": "r",
                "fix": "",
            }
        ]
    },
    "latency": {
        "viz": {
            "west_east_mean_ms": 151.2,
            "in_region_mean_ms": 3.2,
            "bracket_ms": [100.0, 200.0],
            "brackets_ms": {name: [100.0, 200.0] for name in ("p50", "p95", "p99")},
            "window_s": 30.0,
            "n": 60,
        },
        "tap": {
            "n": 55,
            "p50_ms": FIGURE,
            "p95_ms": FIGURE,
            "p99_ms": {"value": None, "low": None, "high": None},
            "tls_true_share": 1.0,
            "server_ids": ["gateway"],
        },
        "gateway_rtt_ms": 147,
        "success_rate": {"vote-bot": 0.92, "web": None},
        "rps": {"vote-bot": 2.0},
        "warnings": ["viz: p50, p95 and p99 lie in one bucket"],
    },
}


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs", Params())


def summary(folder, facts=None, *, teardown=None, error=None):
    if facts is not None:
        (folder.root / FACTS).write_text(json.dumps(facts))
    return build(
        folder, Params(), timings={"00_start_here": 1.5}, teardown=teardown or {}, error=error
    )


def test_a_run_folder_is_named_by_time_and_regions(folder):
    assert folder.root.name.endswith("Z-sfo3-syd1")
    assert json.loads((folder.root / "params.json").read_text())["west_region"] == "sfo3"
    assert {"labkit", "python", "kubernetes"} <= set(
        json.loads((folder.root / "versions.json").read_text())
    )


def test_a_run_folder_below_a_file_is_a_clear_message(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateError, match="cannot be written") as caught:
        RunFolder.create(tmp_path / "file" / "runs", Params())
    assert caught.value.seen == "Not a directory"
    assert "--runs" in caught.value.fix


def test_a_disk_with_too_little_space_is_a_clear_message(tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.runs.folder.FREE_SPACE_MB", 10**9)
    with pytest.raises(StateError, match="Too little space") as caught:
        RunFolder.create(tmp_path, Params())
    assert "MB free" in caught.value.seen


def test_the_summary_has_every_figure_of_the_schema(folder):
    content = summary(folder, FACTS_OF_A_RUN, teardown={"processes_left": [], "leftovers": []})
    assert content["schema"] == SCHEMA
    assert content["status"] == "passed"
    assert content["rtt_ms"] == {"value": 145.9, "source": "table", "floor": 119.5}
    assert content["viz"]["bracket_ms"] == [100.0, 200.0]
    assert content["tap"]["tls_true_share"] == 1.0
    assert content["versions"]["linkerd"] == "edge-26.6.3"
    assert content["processes_left"] == 0
    assert [check["id"] for check in content["checks"]] == ["01.a"]


def test_what_was_not_measured_is_null_and_never_zero(folder):
    content = summary(folder)
    for key in ("viz", "tap", "gateway_rtt_ms", "success_rate", "rps", "mirror", "processes_left"):
        assert content[key] is None, key
    assert content["warnings"] == []


def test_a_failure_is_named_with_notebook_and_cell(folder):
    error = NotebookFailed("03_linkerd.ipynb", cell=4, source="lab.x()", error="boom")
    content = summary(folder, error=error)
    assert content["status"] == "failed"
    assert content["error"]["notebook"] == "03_linkerd.ipynb"
    assert content["error"]["cell"] == 4
    assert "boom" in content["error"]["message"]


def test_an_interruption_is_named(folder):
    content = summary(folder, error=KeyboardInterrupt())
    assert content["error"]["kind"] == "KeyboardInterrupt"
    assert content["error"]["message"] == "interrupted"


def test_facts_that_a_full_disk_cut_off_count_as_none(folder):
    (folder.root / FACTS).write_text('{"latency": {"viz"')
    assert summary(folder)["viz"] is None


def test_the_headline_says_unit_n_window_and_vantage_point(folder):
    text = "\n".join(headline(summary(folder, FACTS_OF_A_RUN, teardown={"processes_left": []})))
    for part in (
        "west sfo3 → east syd1 on embedded",
        "145.9 ms",
        "151.2 ms west → east at vote-bot's proxy",
        "(n=60, 30 s)",
        "p50 in (100, 200]",
        "p50 151.0 [150.1, 152.2] ms",
        "p99 not enough samples",
        "tls=true 100%",
        "vote-bot 92.0%",
        "processes left   0",
        "! viz: p50, p95 and p99 lie in one bucket",
    ):
        assert part in text


@pytest.mark.parametrize(
    "facts", [None, {}, {"latency": {}}, {"latency": {"viz": None, "tap": None}}]
)
def test_headline_and_report_survive_a_run_that_ended_early(folder, facts):
    content = summary(folder, facts, error=KeyboardInterrupt())
    assert headline(content)
    assert "interrupted" in report.write(folder, content).read_text()


def test_headline_and_report_survive_a_measurement_without_figures(folder):
    facts = json.loads(json.dumps(FACTS_OF_A_RUN))
    facts["latency"]["viz"] |= {
        "west_east_mean_ms": None,
        "in_region_mean_ms": None,
        "bracket_ms": [None, None],
    }
    facts["latency"]["tap"] |= {"tls_true_share": None}
    content = summary(folder, facts)
    assert "viz mean" in "\n".join(headline(content))
    assert report.write(folder, content).exists()


def test_every_key_of_the_summary_is_documented(folder, request):
    page = request.config.rootpath / "docs" / "summary.md"
    assert page.is_file(), "docs/summary.md describes the schema"
    text = page.read_text()
    content = summary(folder, FACTS_OF_A_RUN, teardown={"processes_left": []})
    fields = [*content, *(f"rtt_ms.{key}" for key in content["rtt_ms"])]
    for section in ("viz", "tap", "mirror"):
        fields += [f"{section}.{key}" for key in content[section]]
    assert [f for f in fields if not re.search(rf"`{re.escape(f)}[`.\[]", text)] == []
    assert SCHEMA in text
