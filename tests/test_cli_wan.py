"""`labkit wan`: the network of a lab that is up, changed live."""

import signal

import psutil
import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["Nothing to change", "--rtt, --jitter, --jitter-law, --loss or"]),
        (
            ["--rtt", "5000", "--jitter", "-1", "--loss", "0.5"],
            ["--rtt: must be at most 2000", "--jitter: must be at least 0", "--loss: must be at"],
        ),
        (["--jitter-law", "cauchy"], ["--jitter-law: `cauchy` is not one of"]),
        (["--rtt", "nan"], ["--rtt: must be a number"]),
        (["--rtt", "fast"], ["--rtt", "a valid number"]),
    ],
    ids=["nothing", "bounds", "law", "nan", "no number"],
)
def test_bad_values_are_all_named_before_any_lab_is_looked_for(home, arguments, words):
    done = home.run("wan", "set", *arguments)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["show", "reset"])
def test_without_a_lab_the_way_to_one_is_told(home, command):
    done = home.run("wan", command)
    assert done.returncode == 1
    assert "`labkit up`" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_change_is_recorded_outlives_a_killed_daemon_and_ends_with_the_lab(module_home, wait):
    """One lab for the whole story: it takes a few seconds to start."""
    home = module_home
    home.json("up", "--bare", "-p", "wan_rtt_ms=20")
    assert home.json("wan", "show")["now"]["rtt_ms"] == 20
    state = home.json("wan", "set", "--rtt", "80", "--jitter-law", "pareto", "--loss", "0.01")
    assert (state["now"]["rtt_ms"], state["now"]["loss"], state["changed"]) == (80, 0.01, True)
    assert (state["initial"]["rtt_ms"], state["now"]["jitter_law"]) == (20, "pareto")
    (daemon,) = (p for p in home.json("status")["processes"] if p["name"] == "daemon")
    process = psutil.Process(daemon["pid"])
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    refused = home.run("wan", "show")
    assert refused.returncode == 1
    assert "is not running" in refused.stderr
    home.json("up", "--bare")
    state = home.json("wan", "show")
    assert (state["now"]["rtt_ms"], len(state["changes"])) == (80, 1)
    text = home.run("wan", "reset").stdout
    assert "sfo3–syd1 round trip 20 → 80 ms, jitter_law normal → pareto, loss 0 → 0.01" in text
    assert "sfo3–syd1 round trip 80 → 20 ms, jitter_law pareto → normal, loss 0.01 → 0" in text
    assert home.run("down").returncode == 0
    home.json("up", "--bare")
    assert home.json("wan", "show")["changes"] == []
    assert home.run("down").returncode == 0
