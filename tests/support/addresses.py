"""Commands of `labkit` that serve a page, print its address, and go on until they are stopped."""

import contextlib
import re
import signal
import subprocess
import time

START_S = 120.0


@contextlib.contextmanager
def started(home, *arguments, environment=None):
    """A command that prints an address with a token; ended by Ctrl-C and then gone."""
    log = home.root / f"{arguments[0]}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            home.argv(*arguments),
            env={**home.environment, **(environment or {})},
            cwd=home.root,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_S
        while not (found := re.search(r"http://127\.0\.0\.1:\S+token=\S+", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found.group(0)
        process.send_signal(signal.SIGINT)
        if arguments[0] == "jupyter":  # JupyterLab asks at a terminal, and ends at the second
            process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
