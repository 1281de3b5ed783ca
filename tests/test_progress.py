import re
import time

import nbformat
import pytest
from nbclient import NotebookClient

from labkit.errors import WaitTimeout
from labkit.progress import Progress, headless, in_notebook, progress, wait_until


def lines(capsys):
    """What went to standard error, without the seconds."""
    captured = capsys.readouterr()
    assert not captured.out
    return re.sub(r" \(\d+\.\d s\)", "", captured.err).splitlines()


def test_the_result_of_the_condition_is_returned():
    answers = iter([None, "", "there"])
    assert wait_until(lambda: next(answers), what="it", timeout_s=5, interval_s=0.001) == "there"


def test_a_timeout_quotes_the_last_observation_and_what_to_do():
    seen = iter(["1 of 3", "2 of 3", *["2 of 3, stuck"] * 1000])
    with pytest.raises(WaitTimeout) as caught:
        wait_until(
            lambda: None,
            what="all nodes to be Ready",
            timeout_s=0.05,
            interval_s=0.01,
            last_seen=lambda: next(seen),
            fix="kubectl describe nodes",
        )
    assert caught.value.what == "Waited 0 s in vain for all nodes to be Ready"
    assert caught.value.seen == "2 of 3, stuck"
    assert str(caught.value).endswith("Next: kubectl describe nodes.")
    assert isinstance(caught.value, TimeoutError)


def test_a_timeout_without_an_observation_says_so():
    with pytest.raises(WaitTimeout, match="Seen: nothing"):
        wait_until(lambda: False, what="it", timeout_s=0, interval_s=0.001)


def test_the_condition_is_tried_even_without_time():
    assert wait_until(lambda: 1, what="it", timeout_s=0) == 1


def test_an_exception_of_the_condition_ends_the_wait():
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, what="it", timeout_s=5)


def test_a_wait_tells_what_it_waits_for_and_what_it_sees(capsys):
    shown = Progress("Deploying")
    started = time.monotonic()
    wait_until(
        lambda: time.monotonic() - started > 0.7,
        what="web",
        timeout_s=5,
        interval_s=0.05,
        last_seen=lambda: "1 of 2 available",
        report=shown,
    )
    assert lines(capsys) == ["… Deploying: waiting for web (1 of 2 available)"]


def test_each_change_is_a_line_and_a_repetition_is_none(capsys):
    with progress("Creating clusters") as shown:
        shown.update("creating", key="west")
        shown.update("creating", key="west")
        shown.update("creating", key="east")
        shown.update("running", key="west")
    assert lines(capsys) == [
        "… Creating clusters: west: creating",
        "… Creating clusters: east: creating",
        "… Creating clusters: west: running",
        "✔ Creating clusters: done",
    ]


def test_a_text_that_stays_is_a_line_again_after_a_while(capsys, monkeypatch):
    monkeypatch.setattr("labkit.progress.REFRESH_S", 0.0)
    monkeypatch.setattr("labkit.progress.REPEAT_S", 0.05)
    shown = Progress("Creating clusters")
    shown.update("provisioning", key="west")
    shown.update("provisioning", key="east")
    time.sleep(0.06)
    shown.update("provisioning", key="west")
    assert lines(capsys) == [
        f"… Creating clusters: {name}: provisioning" for name in ("west", "east", "west")
    ]


def test_waits_for_two_clusters_are_told_apart(capsys):
    shown = Progress("Deploying")
    for name in ("west", "east"):
        with pytest.raises(WaitTimeout, match=f"for web of {name}"):
            wait_until(
                lambda: None,
                what=f"web of {name}",
                timeout_s=0.7,
                interval_s=0.05,
                report=shown,
                key=name,
                told="web",
            )
    assert lines(capsys) == [f"… Deploying: {name}: waiting for web" for name in ("west", "east")]


def test_a_text_that_comes_back_is_a_line_again(capsys):
    shown = Progress("Waiting")
    for text in ("ready", "not ready", "ready"):
        shown.update(text)
    assert lines(capsys) == ["… Waiting: ready", "… Waiting: not ready", "… Waiting: ready"]


def test_the_end_is_a_line_even_if_the_text_is_the_last_one(capsys):
    shown = Progress("Waiting")
    shown.update("done")
    shown.done()
    assert lines(capsys) == ["… Waiting: done", "✔ Waiting: done"]


def test_a_failure_is_shown_with_its_reason_and_goes_on(capsys):
    with pytest.raises(ValueError, match="no such size"), progress("Creating"):
        raise ValueError("no such size")
    assert lines(capsys) == ["✘ Creating: no such size"]


def test_an_interruption_is_shown_by_its_name(capsys):
    with pytest.raises(KeyboardInterrupt), progress("Creating"):
        raise KeyboardInterrupt
    assert lines(capsys) == ["✘ Creating: KeyboardInterrupt"]


def test_this_is_no_notebook_and_nobody_drives_it(monkeypatch):
    monkeypatch.delenv("LABKIT_HEADLESS", raising=False)
    assert not in_notebook()
    assert not headless()


def execute(source, tmp_path, monkeypatch, **environment):
    """Run one cell in a real kernel and return its outputs."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    client = NotebookClient(notebook, timeout=60, kernel_name="python3")
    client.km = client.create_kernel_manager()
    client.km.transport, client.km.ip = "ipc", str(tmp_path / "k")
    client.execute()
    return notebook.cells[0].outputs


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_in_a_notebook_it_is_one_output_that_holds_the_last_text(tmp_path, monkeypatch):
    source = """
from labkit.progress import in_notebook, progress
assert in_notebook()
with progress("Creating <clusters>") as shown:
    for number in range(50):
        shown.update(f"step {number}", key="west")
"""
    outputs = execute(source, tmp_path, monkeypatch, LABKIT_RUN_FOLDER=str(tmp_path))
    assert [item.output_type for item in outputs] == ["display_data"]
    plain = re.sub(r"\d+\.\d s", "T", outputs[0].data["text/plain"])
    assert plain == "✔ Creating <clusters> (T)\n    west: step 49\n    done"
    assert "Creating &lt;clusters&gt;" in outputs[0].data["text/html"]
    log = (tmp_path / "run.log").read_text().splitlines()
    assert len(log) == 51
    assert re.fullmatch(r"\d\d:\d\d:\d\d ✔ Creating <clusters>: done \(\d\.\d s\)", log[-1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_in_a_notebook_without_a_run_folder_nothing_is_logged(tmp_path, monkeypatch):
    monkeypatch.delenv("LABKIT_RUN_FOLDER", raising=False)
    source = "from labkit.progress import progress\nwith progress('Looking'):\n    pass"
    outputs = execute(source, tmp_path, monkeypatch)
    assert len(outputs) == 1
    assert outputs[0].data["text/plain"].startswith("✔ Looking")
