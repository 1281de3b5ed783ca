"""A process that asks to get the processor soon."""

import os
import platform
import subprocess
import sys

import pytest

MODULE = "labkit.embedded.network.promptness"
ASK = f"from {MODULE} import be_prompt; print(be_prompt())"


def said(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="not asked there")
def test_linux_hears_it_and_priority_and_policy_stay():
    same = "import os; print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0))"
    assert said(f"{ASK}; {same}").split() == ["True", *said(same).split()]


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="Unix only")
def test_an_unknown_machine_is_not_asked():
    changed = "import platform; platform.machine = lambda: 'abacus'"
    assert said(f"{changed}; {ASK}") == "False"
