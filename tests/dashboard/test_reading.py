"""What a service mirror's metrics say of the gateway, and what a form asks of the network."""

import pytest

from labkit.dashboard.reading import probe_of
from labkit.dashboard.server import network_values
from labkit.dashboard.snapshot import Probe
from labkit.errors import InputError

METRICS = """\
# TYPE gateway_alive gauge
gateway_alive{target_cluster_name="east"} 0
gateway_alive{target_cluster_name="north"} 1
# TYPE gateway_latency gauge
gateway_latency{target_cluster_name="east"} 152
# TYPE gateway_probes counter
gateway_probes{probe_successful="true",target_cluster_name="east"} 18
gateway_probes{probe_successful="false",target_cluster_name="east"} 4
"""


def test_the_probe_of_east_is_found_among_others():
    assert probe_of(METRICS) == Probe(alive=False, latency_ms=152, failed=4)


def test_metrics_without_a_probe_of_east_have_none():
    assert (
        probe_of('# TYPE gateway_alive gauge\ngateway_alive{target_cluster_name="n"} 1\n') is None
    )


def test_a_form_becomes_numbers():
    body = b'{"rtt_ms": "300", "loss": "0.1", "jitter_law": "pareto"}'
    assert network_values(body) == {"rtt_ms": 300.0, "loss": 0.1, "jitter_law": "pareto"}


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_a_black_hole_is_asked_for_or_ended(text, value):
    assert network_values(f'{{"blackhole": "{text}"}}'.encode()) == {"blackhole": value}


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"nonsense"])
def test_nothing_to_change_is_said(body):
    with pytest.raises(InputError, match="Nothing to change"):
        network_values(body)


def test_all_problems_of_a_form_are_said_together():
    body = b'{"rtt_ms": "-1", "loss": "0.5", "jitter_ms": "wide", "jitter_law": "odd", "x": 1}'
    with pytest.raises(InputError) as caught:
        network_values(body)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        *("jitter_law", "jitter_ms", "loss", "rtt_ms", "x")
    ]
