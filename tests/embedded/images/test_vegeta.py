"""The stand-in for vegeta: a plan that is kept, and results in vegeta's encodings."""

import csv
import json
import subprocess
import sys

import pytest

MODULE = "labkit.embedded.images.vegeta"
RATE, SECONDS = 40, 1


@pytest.fixture
def vegeta(tools):
    def run(*arguments, text=""):
        return subprocess.run(
            [sys.executable, "-m", MODULE, *arguments],
            env=tools.environment({}, {}),
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def web(tools):
    with tools.recording() as recorder:
        recorder.body = b"hello\n"
        yield recorder


def attack(vegeta, web, *flags):
    done = vegeta(
        *("attack", f"-rate={RATE}/1s", f"-duration={SECONDS}s", *flags),
        text=f"GET http://{web.address}/a\nX-One: 1\n\nGET http://{web.address}/b\n",
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_request_of_the_plan_is_sent_once_and_the_targets_take_turns(vegeta, web):
    results = attack(vegeta, web)
    assert sorted(result["seq"] for result in results) == list(range(RATE * SECONDS))
    assert {result["code"] for result in results} == {200}
    assert [request[1] for request in web.requests].count("/b") == RATE * SECONDS / 2
    assert all(result["latency"] > 0 for result in results)


def test_nothing_is_sent_before_its_time(vegeta, web):
    from labkit.embedded.images.vegeta import nanoseconds

    sent = {r["seq"]: nanoseconds(r["timestamp"]) for r in attack(vegeta, web)}
    begin = sent[0]
    assert all(time - begin >= (seq / RATE - 0.03) * 1e9 for seq, time in sent.items())


def test_a_slow_server_does_not_shift_the_plan(vegeta, tools):
    """Each answer takes half a second: a closed loop would send 2 requests, not 40."""
    import asyncio

    from labkit.embedded.images import http_server
    from tests.embedded.images.conftest import free_port

    async def main():
        async def slowly(_):
            await asyncio.sleep(0.5)
            return http_server.Response(b"late\n")

        port = free_port()
        server = await http_server.serve(slowly, ("127.0.0.1", port))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", MODULE, "attack", f"-rate={RATE}", "-duration=1s"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate(f"GET http://127.0.0.1:{port}/\n".encode())
        server.close()
        return [json.loads(line) for line in out.splitlines()]

    results = asyncio.run(main())
    assert len(results) == RATE
    assert all(result["latency"] >= 0.4e9 for result in results)


def test_encode_writes_vegetas_columns(vegeta, web):
    lines = [json.dumps(result) for result in attack(vegeta, web, "-max-body=0", "-name=x")]
    done = vegeta("encode", "-to", "csv", text="\n".join(lines))
    rows = list(csv.reader(done.stdout.splitlines()))
    assert len(rows) == RATE * SECONDS
    time, status, latency, out, into, error, body, name, seq, method, url, headers = rows[0]
    assert (status, out, into, error, body, name, method) == ("200", "0", "0", "", "", "x", "GET")
    assert int(time) > 1.7e18
    assert int(latency) > 0
    assert seq.isdigit()
    assert url.startswith(f"http://{web.address}/")
    assert headers
    again = vegeta("encode", "-to", "json", text=done.stdout)
    assert json.loads(again.stdout.splitlines()[0])["timestamp"].endswith("Z")


def test_errors_are_results(vegeta, tools):
    from tests.embedded.images.conftest import free_port

    done = vegeta(
        "attack", "-rate=5", "-duration=1s", text=f"GET http://127.0.0.1:{free_port()}/\n"
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == 5
    assert {result["code"] for result in results} == {0}
    assert all(result["error"].startswith("Get ") for result in results)


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (("attack",), "", "no targets to attack"),
        (("attack",), "nonsense\n", "bad target on line 1"),
        (("attack", "-rate=fast"), "", "-rate"),
        (("attack", "-duration=5"), "", "invalid duration"),
        (("attack", "-h2c"), "", "this stand-in supports: "),
        (("encode",), "nonsense\n", "can't detect encoding"),
    ],
)
def test_mistakes_are_told_without_a_traceback(vegeta, arguments, text, message):
    done = vegeta(*arguments, text=text)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
