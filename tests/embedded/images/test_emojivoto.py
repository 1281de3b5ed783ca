"""emojivoto v11: what web, its backends and the bot do on the wire."""

import signal
import subprocess
import time

import grpc
import psutil
import pytest

from labkit.embedded.images.emojivoto import emojivoto_pb2 as messages
from labkit.embedded.images.emojivoto.emojis import LISTED, VOTE_METHODS


def test_a_hundred_votes_and_ninety_nine_emoji():
    assert len(VOTE_METHODS) == 100
    assert len(LISTED) == 99
    assert list(LISTED)[:3] == [":joy:", ":sunglasses:", ":doughnut:"]
    assert set(VOTE_METHODS) - set(LISTED) == {":relaxed:"}
    assert VOTE_METHODS[":100:"] == "Vote100"
    assert VOTE_METHODS[":point_up_2:"] == "VotePointUp2"


def test_the_descriptor_has_a_method_for_each_vote():
    service = messages.DESCRIPTOR.services_by_name["VotingService"]
    assert {*VOTE_METHODS.values(), "Results"} == set(service.methods_by_name)


def test_the_list(emojivoto):
    answer = emojivoto.get("/api/list")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert len(answer.json()) == 99
    assert answer.json()[0] == {"shortcode": ":joy:", "unicode": "😂"}


def test_a_vote_counts_once_and_is_shown_as_text(emojivoto):
    def votes() -> int:
        rows = emojivoto.get("/api/leaderboard").json()
        assert all(isinstance(row["votes"], str) for row in rows)
        return next((int(r["votes"]) for r in rows if r["shortcode"] == ":taco:"), 0)

    before = votes()
    answer = emojivoto.get("/api/vote?choice=:taco:")
    assert (answer.status, answer.body) == (200, "")
    assert votes() == before + 1


def test_the_leaderboard_is_ordered_by_votes(emojivoto):
    for choice in (":rocket:", ":rocket:", ":fire:"):
        emojivoto.get(f"/api/vote?choice={choice}")
    votes = [int(row["votes"]) for row in emojivoto.get("/api/leaderboard").json()]
    assert votes == sorted(votes, reverse=True)
    assert 0 not in votes


def test_the_doughnut_always_fails(emojivoto):
    for _ in range(3):
        answer = emojivoto.get("/api/vote?choice=:doughnut:")
        assert answer.status == 500
        assert answer.json() == {"error": "rpc error: code = Unknown desc = ERROR"}
    shown = [row["shortcode"] for row in emojivoto.get("/api/leaderboard").json()]
    assert ":doughnut:" not in shown


@pytest.mark.parametrize("query", ["", "?choice=", "?choice=:nothing:", "?choice=:relaxed:"])
def test_a_vote_for_nothing_is_a_bad_request(emojivoto, query):
    answer = emojivoto.get(f"/api/vote{query}")
    assert answer.status == 400
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("path", ["/", "/leaderboard", "/any/other/path"])
def test_every_other_path_is_the_page(emojivoto, path):
    answer = emojivoto.get(path)
    assert answer.status == 200
    assert "<title>Emoji Vote</title>" in answer.body


@pytest.mark.parametrize("path", ["/js", "/dist/index_bundle.js", "/img/favicon.ico"])
def test_assets_are_served(emojivoto, path):
    assert emojivoto.get(path).status == 200


def test_grpc_as_documented(emojivoto):
    with grpc.insecure_channel(emojivoto.emoji.address(8080)) as channel:
        find = channel.unary_unary(
            "/emojivoto.v1.EmojiService/FindByShortcode",
            request_serializer=messages.FindByShortcodeRequest.SerializeToString,
            response_deserializer=messages.FindByShortcodeResponse.FromString,
        )
        request = messages.FindByShortcodeRequest(Shortcode=":pizza:")
        assert find(request, timeout=10).emoji.unicode == "🍕"
        unknown = messages.FindByShortcodeRequest(Shortcode=":nothing:")
        assert not find(unknown, timeout=10).HasField("emoji")
    with grpc.insecure_channel(emojivoto.voting.address(8080)) as channel:
        vote = channel.unary_unary(
            "/emojivoto.v1.VotingService/VoteDoughnut",
            request_serializer=messages.VoteRequest.SerializeToString,
            response_deserializer=messages.VoteResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as caught:
            vote(messages.VoteRequest(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert caught.value.details() == "ERROR"


def test_votes_are_counted_for_prometheus(emojivoto, tools):
    emojivoto.get("/api/vote?choice=:bulb:")
    answer = tools.fetch(f"http://{emojivoto.voting.address(8801)}/metrics")
    assert 'emojivoto_votes_total{emoji=":bulb:"}' in answer.body
    assert tools.fetch(f"http://{emojivoto.emoji.address(8801)}/nothing").status == 404


def test_web_answers_500_while_a_backend_is_away(tools):
    env = {"EMOJISVC_HOST": "127.0.0.1:1", "VOTINGSVC_HOST": "127.0.0.1:1"}
    with tools.program("emojivoto.web", 8080, WEB_PORT="8080", INDEX_BUNDLE="x", **env) as web:
        answer = tools.fetch(f"http://{web.address(8080)}/api/list")
    assert answer.status == 500
    assert answer.json()["error"].startswith("rpc error: code = Unavailable desc = ")


def test_web_dials_its_proxy_when_it_has_one(emojivoto, tools):
    env = {
        "EMOJISVC_HOST": "emoji-svc.emojivoto:8080",
        "VOTINGSVC_HOST": "voting-svc.emojivoto:8080",
    }
    proxy = f"http://{emojivoto.emoji.address(8080)}"
    with tools.program(
        "emojivoto.web", 8080, WEB_PORT="8080", INDEX_BUNDLE="x", http_proxy=proxy, **env
    ) as web:
        answer = tools.fetch(f"http://{web.address(8080)}/api/list")
    assert len(answer.json()) == 99


def test_web_refuses_to_start_without_its_settings(tools):
    with tools.program("emojivoto.web", WEB_PORT="8080") as web:
        assert web.process.wait(10) == 1


def test_the_bot_votes_once_a_second_through_the_proxy_and_keeps_its_connection(tools):
    with tools.recording() as proxy:
        env = {"http_proxy": f"http://{proxy.address}", "WEB_HOST": "web-svc.emojivoto:80"}
        with tools.program("emojivoto.vote_bot", **env):
            tools.eventually(lambda: len(proxy.requests) >= 4)
    lists, votes = proxy.requests[0::2], proxy.requests[1::2]
    assert {request[:2] for request in lists} == {("GET", "http://web-svc.emojivoto:80/api/list")}
    choices = {path.removeprefix("http://web-svc.emojivoto:80") for _, path, _ in votes}
    assert choices <= {"/api/vote?choice=:joy:", "/api/vote?choice=:doughnut:"}
    assert {headers["Host"] for _, _, headers in lists} == {"web-svc.emojivoto:80"}
    assert len(proxy.connections) == 1


def test_the_bot_takes_any_status_and_survives_a_web_that_is_away(tools):
    with tools.recording() as web:
        web.status = 503
        env = {"WEB_HOST": web.address, "HOST_OVERRIDE": "other.example"}
        with tools.program("emojivoto.vote_bot", **env) as bot:
            tools.eventually(lambda: len(web.requests) >= 2)
            assert bot.process.poll() is None
    assert {headers["Host"] for _, _, headers in web.requests} == {"other.example"}
    with tools.program("emojivoto.vote_bot", WEB_HOST="127.0.0.1:1") as bot:
        assert "error voting" in bot.process.stdout.readline()
        assert bot.process.poll() is None


@pytest.mark.parametrize("module", ["emoji", "voting", "web", "vote_bot"])
def test_sigterm_ends_each_program_within_a_second(tools, module):
    env = {
        "WEB_PORT": "8080",
        "EMOJISVC_HOST": "127.0.0.1:1",
        "VOTINGSVC_HOST": "127.0.0.1:1",
        "INDEX_BUNDLE": "x",
        "WEB_HOST": "127.0.0.1:1",
    }
    ports = {"emoji": (8080, 8801), "voting": (8080, 8801), "web": (8080,), "vote_bot": ()}[module]
    with tools.program(f"emojivoto.{module}", *ports, **env) as running:
        if module == "vote_bot":
            running.process.stdout.readline()
        connections = [tools.fetch(f"http://{running.address(p)}/") for p in ports if p != 8080]
        assert all(answer.status == 404 for answer in connections)
        running.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert running.process.wait(5) == 0
        assert time.monotonic() - began < 2.5, "one second on a quiet machine"


@pytest.mark.skipif(not hasattr(psutil.Process(), "memory_full_info"), reason="no PSS here")
def test_the_programs_are_small(emojivoto, tools):
    with tools.program("emojivoto.vote_bot", WEB_HOST=emojivoto.web.address(8080)) as bot:
        bot.process.stdout.readline()
        limits = {"web": (emojivoto.web, 45), "emoji": (emojivoto.emoji, 32)}
        limits |= {"voting": (emojivoto.voting, 32), "vote-bot": (bot, 15)}
        for name, (running, limit) in limits.items():
            used = psutil.Process(running.process.pid).memory_full_info()
            megabytes = getattr(used, "pss", used.uss) / 2**20
            assert megabytes < limit, f"{name}: {megabytes:.1f} MB"


def test_the_generated_messages_fit_their_source(tmp_path):
    import sys
    from pathlib import Path

    folder = Path(messages.__file__).parent
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"--python_out={tmp_path}"]
    subprocess.run([*command, "emojivoto.proto"], check=True)
    fresh = (tmp_path / "emojivoto_pb2.py").read_text()

    def descriptor(text: str) -> str:
        return next(line for line in text.splitlines() if line.startswith("DESCRIPTOR ="))

    assert descriptor(fresh) == descriptor((folder / "emojivoto_pb2.py").read_text())
