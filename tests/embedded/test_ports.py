"""Ports that are free, and that no two labs hand out at once."""

import os
import socket
import subprocess
import sys

import pytest

from labkit.embedded.ports import BLOCK, Ports, allocate_port
from labkit.errors import StateError

TAKE = """
import sys
from labkit.embedded.ports import allocate_port
print(*(allocate_port() for _ in range(300)), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def ports():
    found = Ports()
    yield found
    for claim in found._claims:
        claim.close()


def test_a_port_is_handed_out_once_until_it_is_released(ports):
    taken = [ports.allocate() for _ in range(2 * BLOCK)]
    assert len(set(taken)) == len(taken)
    assert all(20_000 <= port < 32_768 for port in taken)
    for port in taken:
        ports.release(port)
    again = [ports.allocate() for _ in taken]
    assert set(taken) <= {*again, *(ports.allocate() for _ in range(BLOCK))}


def test_a_port_in_use_is_not_handed_out(ports):
    first = ports.allocate()
    with socket.create_server(("127.0.0.1", first + 1)):
        assert ports.allocate() == first + 2


def test_a_port_that_is_handed_out_can_be_listened_on(ports):
    with socket.create_server(("127.0.0.1", ports.allocate())) as listener:
        socket.create_connection(listener.getsockname()).close()


def test_processes_of_one_machine_hand_out_different_ports():
    """Though nobody listens on them yet."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    try:
        taken = [port for process in running for port in process.stdout.readline().split()]
    finally:
        for process in running:
            process.communicate()
    assert len(taken) == 6 * 300
    assert len(set(taken)) == len(taken)


def test_a_fork_has_ports_of_its_own():
    mine = allocate_port()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, str(allocate_port()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert int(told.read()) // BLOCK != mine // BLOCK


def test_blocks_of_others_are_left_alone_until_they_are_gone(ports, monkeypatch):
    monkeypatch.setattr("labkit.embedded.ports._FIRST", 18_000)
    monkeypatch.setattr("labkit.embedded.ports._END", 18_000 + 2 * BLOCK)
    other = Ports()
    theirs = {other.allocate()}
    ours = {ports.allocate() for _ in range(BLOCK - 1)}
    assert not ours & theirs
    with pytest.raises(StateError, match="No free port"):
        ports.allocate()
    for claim in other._claims:
        claim.close()
    assert ports.allocate() not in ours
