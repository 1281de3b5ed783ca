"""One function runs every command."""

import sys
import time

import pytest

from labkit.clients.command import masked, run
from labkit.errors import CommandError

PYTHON = sys.executable


def test_output_errors_and_input_go_through():
    code = "import sys; sys.stderr.write('note'); sys.stdout.write(sys.stdin.read().upper())"
    result = run([PYTHON, "-c", code], stdin="hello" * 50_000, timeout_s=20)
    assert result.stdout == "HELLO" * 50_000
    assert (result.stderr, result.returncode, result.stopped) == ("note", 0, False)


def test_a_failure_carries_the_code_the_error_output_and_the_way_out():
    code = "import sys; sys.stderr.write('no such cluster'); sys.exit(3)"
    with pytest.raises(CommandError) as caught:
        run([PYTHON, "-c", code], timeout_s=20, fix="run `labkit up`")
    assert caught.value.returncode == 3
    assert "no such cluster" in str(caught.value)
    assert "labkit up" in str(caught.value)


def test_a_failure_may_be_wanted():
    assert run([PYTHON, "-c", "raise SystemExit(1)"], timeout_s=20, check=False).returncode == 1


def test_a_missing_program_is_told():
    with pytest.raises(CommandError, match="no-such-program-here") as caught:
        run(["no-such-program-here"], timeout_s=5)
    assert caught.value.returncode is None
    assert "PATH" in caught.value.fix


def test_a_command_that_does_not_end_is_stopped():
    started = time.monotonic()
    with pytest.raises(CommandError, match="no end after"):
        run([PYTHON, "-c", "import time; print('x', flush=True); time.sleep(60)"], timeout_s=0.5)
    assert time.monotonic() - started < 20


def test_a_command_that_ignores_the_signal_is_killed():
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('up', flush=True); time.sleep(60)"
    )
    result = run([PYTHON, "-c", code], timeout_s=20, until=lambda piece: b"up" in piece)
    assert result.stopped
    assert result.returncode == -9


def test_enough_output_ends_the_command_well():
    code = "import time\nwhile True: print('line', flush=True); time.sleep(0.01)"
    seen = bytearray()

    def enough(piece: bytes) -> bool:
        seen.extend(piece)
        return seen.count(b"\n") >= 3

    result = run([PYTHON, "-c", code], timeout_s=20, until=enough)
    assert result.stopped
    assert result.stdout.startswith("line\nline\nline\n")


def test_the_end_of_sampling_is_no_error():
    code = "import time; print('one', flush=True); time.sleep(60)"
    result = run([PYTHON, "-c", code], timeout_s=0.7, until=lambda _: False)
    assert result.stopped


def test_a_sampled_command_that_fails_by_itself_is_an_error():
    with pytest.raises(CommandError):
        run([PYTHON, "-c", "raise SystemExit('refused')"], timeout_s=20, until=lambda _: False)


def test_the_shell_line_is_recorded_without_secrets_and_paths():
    lines: list[str] = []
    run(
        [PYTHON, "-c", "pass"],
        shown_as=["linkerd", "check", "--token", "s3cr3t", "--set", "a b"],
        timeout_s=20,
        record=lines.append,
    )
    assert lines == ["linkerd check --token '***' --set 'a b'"]


def test_secrets_are_masked_in_both_forms_and_in_errors():
    assert masked(["x", "--token=abc", "--password", "def", "y"]) == (
        "x",
        "--token=***",
        "--password",
        "***",
        "y",
    )
    with pytest.raises(CommandError) as caught:
        run([PYTHON, "-c", "raise SystemExit(1)", "--token", "s3cr3t"], timeout_s=20)
    assert "s3cr3t" not in str(caught.value) + repr(caught.value.argv)
