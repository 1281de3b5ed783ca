"""No token and no private key in anything that is kept or shown; what holds one is 0600."""

import re
import stat

import psutil
import pytest

from labkit.clients.digitalocean import DigitalOcean
from labkit.errors import CloudError
from tests.support import nasty_account

PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
MAY_HOLD_ONE = {"root.key", "issuer.key", "kubeconfig"}
"""Files of a lab that are secret by nature."""


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


@pytest.mark.slow
def test_a_lab_on_digitalocean_keeps_and_shows_no_secret_but_where_it_belongs(tmp_path):
    shown = []
    with nasty_account.nasty_account(tmp_path) as account:
        token = account.server.token
        arguments = []
        account.on_request = lambda: arguments.append(
            " ".join(psutil.Process(account.pid).cmdline())
        )
        run = tmp_path / "run"
        run.mkdir()
        shown.append(account.up(LABKIT_RUN_FOLDER=str(run)))
        seen = files(account.home / "demo")
        keys = [path for path in seen if PRIVATE_KEY.search(path.read_bytes())]
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in seen if p.name in MAY_HOLD_ONE}
        account.server.faults({"name": "server_error", "method": "DELETE", "times": 8})
        shown.append(account.labkit("status"))
        shown.append(account.down())
        account.server.faults()
        shown += [account.down(), account.audit()]
    assert {path.name for path in keys} <= MAY_HOLD_ONE
    assert modes == dict.fromkeys(MAY_HOLD_ONE, 0o600)
    kept = [*files(account.home), *files(run)]
    assert [path for path in kept if token.encode() in path.read_bytes()] == []
    assert [path for path in files(run) if PRIVATE_KEY.search(path.read_bytes())] == []
    assert files(run)  # the copy of the record, at least
    assert arguments
    assert [line for line in arguments if token in line] == []
    for done in shown:
        assert token not in done.out + done.err
        assert "PRIVATE KEY" not in done.out + done.err


@pytest.mark.parametrize(
    "fault",
    [
        {"name": "server_error", "times": 1},
        {"name": "dropped", "times": 9},
        {"name": "too_many_requests", "seconds": 3600},
    ],
    ids=lambda fault: fault["name"],
)
def test_no_exception_and_nothing_that_it_comes_from_shows_the_token(digitalocean, fault):
    digitalocean.faults(fault)
    with (
        DigitalOcean(
            digitalocean.token, endpoint=digitalocean.endpoint, ca_file=digitalocean.ca_file
        ) as cloud,
        pytest.raises(CloudError) as caught,
    ):
        cloud._wire.once("Asking", cloud._client.account.get)
    chain = caught.value
    while chain is not None:
        assert digitalocean.token not in f"{chain!r} {chain}"
        chain = chain.__cause__ or chain.__context__
    assert digitalocean.token not in repr(cloud)
