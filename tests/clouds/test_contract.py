"""Every request of `labkit` and every answer of the emulator is as DigitalOcean describes it.

The exchanges of real commands are recorded and checked one by one; which operations they exercised
is compared with what is expected, so that a request nobody knows of is seen.
"""

import sys
from collections import Counter

import pytest

from tests.support import nasty_account

EXPECTED = {
    "GET /v2/account",
    "GET /v2/sizes",
    "GET /v2/regions",
    "GET /v2/kubernetes/options",
    "GET /v2/kubernetes/clusters",
    "POST /v2/kubernetes/clusters",
    "GET /v2/kubernetes/clusters/{cluster_id}",
    "GET /v2/kubernetes/clusters/{cluster_id}/kubeconfig",
    "GET /v2/kubernetes/clusters/{cluster_id}/destroy_with_associated_resources",
    "DELETE /v2/kubernetes/clusters/{cluster_id}/destroy_with_associated_resources/selective",
    "GET /v2/load_balancers",
    "GET /v2/load_balancers/{lb_id}",
    "DELETE /v2/load_balancers/{lb_id}",
    "GET /v2/volumes",
    "GET /v2/volumes/{volume_id}",
    "DELETE /v2/volumes/{volume_id}",
    "GET /v2/snapshots",
    "GET /v2/snapshots/{snapshot_id}",
    "DELETE /v2/snapshots/{snapshot_id}",
}
"""The operations that labkit uses, all of them."""

NEVER_SENT = {"GET /v2/regions"}
"""Offered by the client, asked by no command: regions come with the Kubernetes options."""


@pytest.mark.slow
def test_the_commands_send_what_is_described_and_use_these_operations(tmp_path, contract, capsys):
    with nasty_account.nasty_account(tmp_path) as account:
        account.add_decoys()
        account.server.faults("cluster_volumes")
        assert account.labkit("doctor", "-p", "cloud=digitalocean").code in (0, 1, 3)
        assert account.up().code == 0
        account.make_load_balancers()
        account.server.faults({"name": "survivor", "times": 6})
        assert account.down().code == 0
        assert account.audit().code == 3
        assert account.labkit("audit", "--all-labs").code == 3
        assert account.labkit("reap", "--yes").code == 0
        assert account.labkit("cost", "--quote", "-p", "cloud=digitalocean").code == 0
        exchanges = list(account.server.exchanges)
    used = Counter(contract.operation_of(exchange) for exchange in exchanges)
    # every distinct exchange was checked when the account closed
    assert len(contract.distinct(exchanges)) > len(EXPECTED)
    with capsys.disabled():
        lines = [f"| `{name}` | {count} |" for name, count in sorted(used.items())]
        sys.stdout.write("\n" + "\n".join(["| Operation | Requests |", "|---|---|", *lines]) + "\n")
    assert set(used) == EXPECTED - NEVER_SENT
