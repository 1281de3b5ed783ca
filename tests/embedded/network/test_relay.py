import asyncio
import contextlib
import stat
from time import perf_counter

import pytest

from labkit.embedded.network.relay_pipes import RouteSpec
from labkit.errors import StateError

# The loop that measures rounds its clock to a tenth of a millisecond.
SLACK_S = 0.0005


async def ask(reader, writer, data: bytes) -> float:
    began = perf_counter()
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    return perf_counter() - began


async def expect_reset(reader):
    """The connection ends: by a reset, or seen as an end of the stream."""
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def close(*writers):
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_a_round_trip_takes_at_least_the_requested_time(route):
    reader, writer = await asyncio.open_connection(*await route(rtt_ms=40))
    await ask(reader, writer, b"first")
    times = [await ask(reader, writer, b"ping") for _ in range(10)]
    assert min(times) >= 0.040 - SLACK_S
    assert sorted(times)[5] < 0.080
    await close(writer)


async def test_the_first_bytes_pay_for_the_handshake_once(route):
    address = await route(rtt_ms=40)
    began = perf_counter()
    reader, writer = await asyncio.open_connection(*address)
    await ask(reader, writer, b"first")
    assert perf_counter() - began >= 0.080 - SLACK_S
    assert await ask(reader, writer, b"second") < 0.075
    await close(writer)


async def test_bytes_keep_their_order_under_jitter_and_loss(route):
    address = await route(rtt_ms=10, jitter_ms=20, loss=0.02, seed=3)
    reader, writer = await asyncio.open_connection(*address)
    sent = b"".join(b"%06d" % number for number in range(2000))
    for start in range(0, len(sent), 600):
        writer.write(sent[start : start + 600])
        await asyncio.sleep(0.001)
    assert await reader.readexactly(len(sent)) == sent
    await close(writer)


async def test_the_other_direction_survives_a_half_close(route):
    reader, writer = await asyncio.open_connection(*await route(rtt_ms=20))
    writer.write(b"hello")
    writer.write_eof()
    assert await reader.read() == b"hello<end>"
    await close(writer)


async def test_delay_changes_while_a_connection_is_open(relay, route):
    reader, writer = await asyncio.open_connection(*await route(rtt_ms=0))
    await ask(reader, writer, b"first")
    await relay.patch("r", rtt_ms=60)
    assert await ask(reader, writer, b"slow") >= 0.060 - SLACK_S
    await relay.patch("r", rtt_ms=0)
    assert await ask(reader, writer, b"fast") < 0.055
    await close(writer)


async def test_nothing_passes_a_black_hole_until_it_is_lifted(relay, route):
    reader, writer = await asyncio.open_connection(*await route(rtt_ms=2))
    await ask(reader, writer, b"first")
    await relay.patch("r", blackhole=True)
    writer.write(b"lost?")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    await relay.patch("r", blackhole=False)
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"lost?"
    await close(writer)


async def test_a_lost_segment_costs_a_retransmission_timeout(relay, route):
    reader, writer = await asyncio.open_connection(*await route(rtt_ms=4, loss=0.5, seed=1))
    times = [await ask(reader, writer, b"x") for _ in range(6)]
    assert max(times) >= 0.200
    assert (await relay.routes())["r"]["stats"]["retransmissions"] > 0
    await close(writer)


async def test_a_route_whose_target_refuses_closes_after_a_round_trip(route):
    address = await route(rtt_ms=50, targets=("127.0.0.1:1",))
    began = perf_counter()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"hello")
    await expect_reset(reader)
    assert perf_counter() - began >= 0.050 - SLACK_S
    writer.close()


async def test_a_second_target_is_tried_when_the_first_refuses(route, echo):
    address = await route(targets=("127.0.0.1:1", echo.address))
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*address)
        await ask(reader, writer, b"hello")
        await close(writer)


async def test_a_reader_that_does_not_read_stops_the_sender(relay):
    stuck = asyncio.Event()
    received = 0

    async def never_reads(reader, writer):
        writer.transport.pause_reading()
        await stuck.wait()
        writer.close()

    listener = await asyncio.start_server(never_reads, "127.0.0.1", 0)
    target = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    made = await relay.put(RouteSpec(id="r", targets=(target,)))
    host, _, port = made["listen"].rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))

    async def flood():
        nonlocal received
        while received < 64 << 20:
            writer.write(bytes(1 << 20))
            await writer.drain()
            received += 1 << 20

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flood(), 1)
    assert received < 40 << 20
    writer.transport.abort()
    stuck.set()
    listener.close()


async def test_bulk_data_arrives_whole_through_a_long_link(route):
    reader, writer = await asyncio.open_connection(*await route(rtt_ms=30))
    payload = bytes(range(256)) * 4096 * 12
    received = bytearray()

    async def send():
        writer.write(payload)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    while data := await reader.read(1 << 20):
        received += data
    await sending
    assert bytes(received[:-5]) == payload
    await close(writer)


async def test_connections_and_bytes_are_counted(relay, route, echo):
    reader, writer = await asyncio.open_connection(*await route())
    await ask(reader, writer, b"12345")
    stats = (await relay.routes())["r"]["stats"]
    assert (stats["connections"], stats["open"]) == (1, 1)
    assert (stats["bytes_up"], stats["bytes_down"]) == (5, 5)
    assert echo.connections == 1
    await close(writer)


async def test_routes_that_are_not_named_any_more_are_closed(relay, route):
    reader, writer = await asyncio.open_connection(*await route())
    await ask(reader, writer, b"hello")
    assert await relay.put_all({}) == {}
    await expect_reset(reader)
    writer.close()


async def test_the_control_socket_is_private_and_refuses_nonsense(relay, short_dir):
    mode = (short_dir / "relay.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    with pytest.raises(StateError, match="no route"):
        await relay.patch("absent", rtt_ms=1)
    await relay.put(RouteSpec(id="r", targets=()))
    with pytest.raises(StateError, match="rtt_ms"):
        await relay.patch("r", rtt_ms=-1)
    with pytest.raises(StateError, match="unknown fields"):
        await relay.patch("r", bandwidth=1)


@pytest.mark.parametrize(
    "values",
    [{"listen": "0.0.0.0:80"}, {"rtt_ms": -1}, {"jitter_ms": float("nan")}, {"loss": 1.0}],
)
def test_a_route_out_of_bounds_is_refused(values):
    with pytest.raises(ValueError, match="must be"):
        RouteSpec(id="r", targets=(), **values)
