"""A report is one page that opens offline, says what is missing, and escapes whatever it shows."""

import html
import itertools
import json
import re
from html.parser import HTMLParser

import pytest

from labkit.errors import InputError, StateError
from labkit.runs.figures import Figure, figures
from labkit.runs.reading import read_run
from labkit.runs.report import section, write_report
from labkit.runs.report.section import commands
from labkit.runs.sweep.file import load_sweep
from labkit.runs.sweep.folder import SweepFolder
from tests.support.run_folders import make_run

VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page; fails when a tag is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs")


def page_of(*paths, **options):
    return Page(write_report(list(paths), **options).path.read_text())


def test_a_report_of_one_run_says_everything_for_sign_off(run):
    receipt = {
        "usd": "0.00000",
        "list_usd": "0.01667",
        "note": "Nothing of this was billed.",
        "items": [
            {
                "what": "node s-2vcpu-4gb",
                "count": 6,
                "hours": "0.0500",
                "usd_per_hour": "0.03571",
                "list_usd": "0.01071",
                "source": "price list",
                "seen": "2026-11-01",
            }
        ],
    }
    (run / "receipt.json").write_text(json.dumps(receipt))
    page = page_of(run)
    for part in (
        "sfo3, San Francisco",
        "syd1, Sydney",
        "UTC (60 s, after a warm-up of 10 s that is not used)",
        "emulated: round trip 145.9 ms, jitter 0.4377 ms, loss 0",
        "mean west → east",
        "in (100, 200] ms",
        "not enough samples",
        "needs 1000",
        "light in fibre there and back (floor) 119.5 ms",
        "vote-bot outbound (west)",
        "viz: p50, p95 and p99 lie in one bucket",
        "1 of 1 passed",
        "0.01667 USD at list prices",
        "node s-2vcpu-4gb",
        "price list (2026-11-01)",
        "labkit run -p west_region=sfo3 -p east_region=syd1",
        f"labkit latency compare runs/{run.name}",
        "matplotlib",
        "Signature",
    ):
        assert part in page.text, part


def test_a_report_loads_nothing_from_anywhere(run):
    text = write_report([run]).path.read_text()
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    sources = [image["src"] for image in page.all("img")]
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(target["href"].startswith("#") for target in page.all("a"))
    assert not re.search(r"url\(|@import|https?://|\son\w+=", text)
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy["content"]


def test_a_report_can_be_read_without_seeing_it_and_in_the_dark(run):
    text = write_report([run]).path.read_text()
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}]
    assert all(len(image["alt"]) > 30 for image in page.all("img"))
    assert "n = 120." in page.all("img")[0]["alt"]
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}"


def test_hostile_texts_are_shown_and_do_nothing(run):
    content = json.loads((run / "summary.json").read_text())
    content["regions"]["west"] = HOSTILE
    content["warnings"].append(HOSTILE)
    content["error"] = {"message": HOSTILE}
    content["status"] = HOSTILE
    content["viz"]["vantage"] = HOSTILE
    content["checks"][0] |= {"reason": HOSTILE, "status": HOSTILE, "id": HOSTILE}
    content["versions"][HOSTILE] = HOSTILE
    content["timings_s"][HOSTILE] = 1.0
    (run / "summary.json").write_text(json.dumps(content))
    (run / "receipt.json").write_text(json.dumps({"note": HOSTILE, "items": [{"what": HOSTILE}]}))
    params = json.loads((run / "params.json").read_text())
    (run / "params.json").write_text(json.dumps(params | {"node_size": HOSTILE, HOSTILE: HOSTILE}))
    (run / "charts" / "distribution.svg").write_text(
        "<svg xmlns:dc='http://purl.org/dc/elements/1.1/'><dc:description>"
        "&lt;script&gt;\"'</dc:description></svg>"
    )
    page = page_of(run)
    assert not page.all("script")
    assert all("onerror" not in image for image in page.all("img"))
    assert page.text.count("alert(1)") > 10
    assert "{{ 7 * 7 }}" in page.text


def test_a_parameter_with_a_quote_makes_a_command_that_a_shell_reads_as_one_word(run):
    params = json.loads((run / "params.json").read_text())
    (run / "params.json").write_text(json.dumps(params | {"node_size": "a b'; rm -rf ~ #"}))
    assert """-p 'node_size=a b'"'"'; rm -rf ~ #'""" in commands(read_run(run))[0]


def test_a_command_has_what_differs_from_the_defaults_and_both_regions(tmp_path):
    run = make_run(tmp_path, drawn=False, west_region="ams3", seed=7, measure_seconds=90)
    assert commands(read_run(run))[0] == (
        "labkit run -p west_region=ams3 -p east_region=syd1 -p measure_seconds=90 -p seed=7"
    )


@pytest.mark.parametrize("name", ["summary.json", "params.json", "measurement.json"])
@pytest.mark.parametrize("content", [None, "{", "[]", '{"viz": 3, "tap": [], "checks": 1}'])
def test_what_a_run_folder_lacks_is_said(run, name, content):
    (run / name).unlink() if content is None else (run / name).write_text(content)
    written = write_report([run])
    page = Page(written.path.read_text())
    if content != '{"viz": 3, "tap": [], "checks": 1}':
        assert name in " ".join(written.missing[run.name])
        assert "What the run folder lacks" in page.text


def test_a_run_that_ended_at_once_has_a_report(tmp_path):
    folder = tmp_path / "20261123T012345Z-sfo3-syd1"
    folder.mkdir()
    (folder / "params.json").write_text("{}")
    page = page_of(folder)
    assert "there are no charts" in page.text
    assert "No check ran." in page.text
    assert "No receipt was kept with this run." in page.text


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\ncut", b"GIF89a"])
def test_a_broken_picture_is_named_and_not_shown(run, content):
    (run / "charts" / "distribution.png").write_bytes(content)
    page = page_of(run)
    assert page.all("img") == []
    assert "charts/distribution.png is cut off or no PNG" in page.text


def test_a_picture_whose_description_is_broken_has_its_title(run):
    (run / "charts" / "distribution.svg").write_text("<svg")
    assert page_of(run).all("img")[0]["alt"].startswith("Distribution of single requests")


def test_a_failed_run_says_so_with_its_error_and_what_is_left(run):
    content = json.loads((run / "summary.json").read_text())
    content |= {"status": "failed", "error": {"message": "03: boom"}, "billable_left": ["west"]}
    content["checks"][0]["status"] = "fail"
    (run / "summary.json").write_text(json.dumps(content))
    page = page_of(run)
    for part in (
        "03: boom",
        "the run did not go through",
        "billable things were left after the teardown: west",
        "checks failed: 10.floor",
        "0 of 1 run passed",
    ):
        assert part in page.text, part


def test_several_runs_have_an_overview_with_charts_and_pooled_quantiles(tmp_path):
    first = make_run(tmp_path / "a")
    second = make_run(tmp_path / "b")
    other = make_run(tmp_path / "c", west_region="ams3", east_region="fra1")
    written = write_report([tmp_path])
    page = Page(written.path.read_text())
    assert written.path == tmp_path / "report.html"
    assert "3 runs of 2 pairs of regions" in page.text
    alts = [image["alt"] for image in page.all("img")]
    for title in (
        "What was measured",
        "Round trips between",
        "The measured ways",
        "Mean west → east",
    ):
        assert any(alt.startswith(title) for alt in alts), title
    assert "Single requests by pair and instrument." in page.text
    assert re.search(r"sfo3 → syd1 tap vote-bot outbound \(west\) 240 ", page.text)
    for folder in (first, second, other):
        assert folder.name in page.text


def test_runs_without_samples_or_figures_do_not_stop_the_overview(tmp_path):
    make_run(tmp_path / "a", drawn=False)
    broken = make_run(tmp_path / "b", drawn=False)
    (broken / "samples" / "requests.parquet").write_bytes(b"PAR1 cut")
    (broken / "summary.json").write_text("{}")
    gone = make_run(tmp_path / "c", drawn=False)
    (gone / "summary.json").unlink()
    (gone / "params.json").unlink()
    page = page_of(tmp_path)
    assert "samples/requests.parquet" in page.text
    assert "? → ?" in page.text


def test_reports_of_runs_of_several_folders_go_where_all_of_them_are(tmp_path):
    runs = [make_run(tmp_path / "runs" / name, drawn=False) for name in ("a", "b")]
    assert write_report(runs).path == tmp_path / "runs" / "report.html"


def test_many_runs_show_one_chart_each(tmp_path):
    for number in range(4):
        root = make_run(tmp_path / str(number))
        (root / "charts" / "golden_metrics.png").write_bytes(
            (root / "charts" / "distribution.png").read_bytes()
        )
    titles = [image["alt"] for image in page_of(tmp_path).all("img")]
    assert sum(title.startswith("Distribution") for title in titles) == 4
    assert not any(title.startswith("Golden") for title in titles)


def test_a_sweep_says_what_is_not_finished_and_gives_the_file_that_repeats_it(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(
        "pairs: [[sfo3, syd1], [ams3, fra1]]\nrepetitions: 2\nseed: 7\nparams: {measure_seconds: 15}\n"
    )
    spec = load_sweep(file)
    folder = SweepFolder.open(tmp_path / "sweep", spec)
    for point in spec.points()[:3]:
        run = make_run(tmp_path / "made", drawn=False, **point.params.model_dump())
        run.rename(folder.runs / folder.run_name(point))
    left = spec.points()[3].name
    failed = {"failed_attempts": {f"{left}-1": "no space", f"{left}-2": "the notebook <b> failed"}}
    (folder.root / "summary.json").write_text(json.dumps(failed))
    written = write_report([folder.root])
    page = Page(written.path.read_text())
    assert written.path.parent == folder.root
    assert "3 of 4 planned points are finished." in page.text
    assert f"{left}: the notebook <b> failed" in page.text
    again = tmp_path / "again.yaml"
    text = re.search(r"<pre>(pairs:.*?)</pre>", written.path.read_text(), re.DOTALL)[1]
    again.write_text(html.unescape(text))
    assert {p.digest for p in load_sweep(again).points()} == {p.digest for p in spec.points()}


def test_a_sweep_whose_plan_is_broken_is_reported_without_it(tmp_path):
    make_run(tmp_path / "runs", drawn=False)
    for content in ("{", "[]", '{"points": 3, "created": 1}'):
        (tmp_path / "plan.json").write_text(content)
        assert "sfo3 → syd1" in page_of(tmp_path).text


def test_a_page_that_cannot_be_written_is_a_message_and_leaves_no_part(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateError, match="cannot be written"):
        write_report([run], output=tmp_path / "file" / "report.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "runs"]


def test_no_run_is_an_error_that_names_the_path(tmp_path):
    with pytest.raises(InputError, match="no run to read"):
        write_report([tmp_path / "nowhere"])


def test_figures_say_why_there_is_no_value(run):
    found = {
        (figure.name, figure.source.partition(",")[0]): figure for figure in figures(read_run(run))
    }
    assert found["p99 west → east", "tap"].text == "not enough samples"
    assert found["p99 west → east", "tap"].note == "needs 1000"
    assert found["p50 west → east", "viz"].text == "in (100, 200] ms"
    assert found["mean west → east", "viz"].interval.startswith("[15")
    assert found["success, web", "viz"].text == "not measured"


def test_figures_of_the_load_generator_are_there_when_there_was_a_load(run):
    content = json.loads((run / "summary.json").read_text())
    assert not any(figure.source.startswith("load") for figure in figures(read_run(run)))
    content["load"] = content["tap"] | {
        "n": 1_180,
        "rate_per_s": 60.0,
        "intended": 1_200,
        "dropped": 3,
        "without_response": 17,
        "late_share": 0.004,
        "connection": "kept",
        "vantage": "load generator (west)",
        "mean_ms": 152.0,
        "mean_low_ms": 151.5,
        "mean_high_ms": 152.5,
    }
    (run / "summary.json").write_text(json.dumps(content))
    text = page_of(run).text
    for part in (
        "60 requests a second whatever the answers do, kept connections",
        "mean of the load 152.0 ms [151.5, 152.5] 1180",
        "late sends 0.4 %",
        "3 dropped of 1200 intended, 17 without a response",
        "load generator (west)",
    ):
        assert part in text, part


def test_a_bracket_without_upper_end_and_an_interval_with_one_end_are_told():
    assert Figure("p50", None, 50_000, None, bracket=True).text == "in (50000, ∞] ms"
    assert Figure("p50", 3.0, 2.0, None).interval == "[2.0, ?]"


@pytest.mark.parametrize("moment", [1e20, -1e20, 0.0])
def test_a_time_that_is_no_date_is_no_error(run, moment):
    measured = {"started": moment, "ended": moment}
    (run / "measurement.json").write_text(json.dumps(measured))
    facts = section.section(read_run(run), anchor="a", pictures=[], missing=[]).facts
    assert any(name == "Measured" for name, _ in facts)


def test_the_command_prints_the_page_and_names_what_is_missing(home, run):
    (run / "versions.json").unlink()
    done = home.run("report", str(run))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("report.html")
    assert f"! {run.name}: versions.json is not there" in done.stderr
    content = json.loads(home.run("report", str(run), "--json").stdout)
    assert content["runs"] == [run.name]
    assert content["missing"] == {run.name: ["versions.json is not there"]}


def test_the_command_refuses_what_is_no_run(home):
    done = home.run("report", "nowhere")
    assert done.returncode == 2
    assert "nowhere: does not exist" in done.stderr
    assert "Traceback" not in done.stderr
