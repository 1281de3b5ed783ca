"""What the program says of the machine that all clusters share."""

import pytest

from labkit.chapters.latency_figures import machine_warnings


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param({}, id="clusters with machines of their own, or an older run"),
        {"cores": 2, "busy": 0.15, "stolen": 0.0},
        {"cores": 2, "busy": 0.49, "stolen": 0.019},
    ],
)
def test_a_machine_with_time_to_spare_is_no_caveat(machine):
    assert machine_warnings(machine) == []


def test_a_machine_that_others_use_is_told():
    assert machine_warnings({"cores": 2, "busy": 0.71, "stolen": 0.12}) == [
        ("this machine was 71% busy while sampling (2 cores): latencies hold waiting for a core"),
        (
            "this machine's host took 12% of its cores' time while sampling: latencies hold that,"
            " too"
        ),
    ]
