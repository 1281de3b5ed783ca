"""The whole walk as a user starts it, and what it must leave behind: figures and nothing else.

Other tests use the same lab; each may run first, last or alone.
"""

import contextlib
import json
import os
import re
import signal

import psutil
import pytest

from labkit.exercises import EXERCISES
from tests.support.walked import CHAPTERS, arguments

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GATEWAY_IDENTITY = (
    "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"
)


# --- the run ------------------------------------------------------------------------------


def test_the_run_ends_well(walk):
    assert walk.done.returncode == 0, walk.done.stderr[-2000:]
    assert walk.summary["status"] == "passed"
    assert walk.summary["error"] is None


def test_the_walk_is_on_a_board(walk):
    board = walk.home.json("board", str(walk.lab))
    (learner,) = board["learners"]
    assert (learner["lab"], board["unread"]) == ("walk", [])
    chapters = walk.progress["chapters"]
    passed = {number for number, chapter in chapters.items() if chapter["passed"]}
    assert passed >= set(CHAPTERS)


def test_every_check_passed(walk):
    bad = [f"{c['id']}: {c['reason']}" for c in walk.summary["checks"] if c["status"] == "fail"]
    assert not bad
    assert {c["id"][:2] for c in walk.summary["checks"]} == set(CHAPTERS)


def test_every_solution_solves_its_exercise(walk):
    outcomes = {item["id"]: item for item in walk.summary["exercises"]}
    assert set(outcomes) == {exercise.id for exercise in EXERCISES}
    assert not [i["reason"] for i in outcomes.values() if i["status"] == "fail"]


def test_the_headline_names_the_figures_and_the_folder(walk):
    for text in ("west sfo3 → east syd1", "WAN round trip   145.9 ms", "viz mean", "run folder"):
        assert text in walk.done.stdout


def test_the_mean_from_viz_is_the_round_trip_plus_the_time_in_the_region(walk):
    viz, rtt = walk.summary["viz"], walk.summary["rtt_ms"]
    assert rtt["value"] == 145.9
    overhead = viz["west_east_mean_ms"] - (rtt["value"] + viz["in_region_mean_ms"])
    assert -1 <= overhead <= 8


def test_the_figures_lie_above_the_light_floor(walk):
    assert walk.summary["viz"]["west_east_mean_ms"] > walk.summary["rtt_ms"]["floor"]
    assert walk.summary["gateway_rtt_ms"] > walk.summary["rtt_ms"]["floor"]


def test_the_load_generator_kept_its_plan_and_has_a_p99(walk):
    load, rtt_ms = walk.summary["load"], walk.summary["rtt_ms"]["value"]
    assert load["intended"] == 120 * 10
    assert (load["dropped"], load["truncated"]) == (0, 0)
    assert load["n"] >= 0.99 * load["intended"]
    assert rtt_ms < load["p50_ms"]["low"] <= load["p99_ms"]["low"] < load["p99_ms"]["high"]


def test_the_load_was_tapped_at_its_own_proxy_and_no_request_is_shorter_outside(walk):
    load, tap = walk.summary["load"], walk.summary["tap"]
    beside = load["sidecar"]
    assert beside["n"] > 0.9 * load["n"]
    assert beside["negative"] == 0
    assert 0 < beside["client_p50_ms"]["low"] <= beside["client_p50_ms"]["high"]
    assert beside["p50_ms"]["value"] < load["p50_ms"]["value"]
    assert 0 < tap["in_region_p50_ms"]["value"] < tap["p50_ms"]["value"]


def test_the_load_generator_left_nothing_behind(walk):
    assert "labkit-load" not in walk.ok("kubectl --context west -n emojivoto get pods")


def test_every_tapped_request_to_the_gateway_was_mutual_tls_with_its_identity(walk):
    tap = walk.summary["tap"]
    assert tap["n"] > 0
    assert tap["tls_true_share"] == 1.0
    assert tap["server_ids"] == [GATEWAY_IDENTITY]


def test_the_mirrored_service_leads_to_the_gateway(walk):
    mirror = walk.summary["mirror"]
    assert mirror["endpoints"]
    assert sorted(mirror["endpoints"]) == sorted(mirror["gateway"])


def test_the_artefact_of_the_quantiles_is_flagged(walk):
    assert any("bucket" in warning for warning in walk.summary["warnings"])


def test_both_intruders_were_refused_and_the_notebook_shows_it(walk):
    intruders = walk.summary["mtls"]["intruders"]
    assert [item["client"] for item in intruders] == ["unmeshed", "foreign-root"]
    assert all(item["refused"] for item in intruders)
    text = (walk.folder / "notebooks" / "08_verify_mtls.ipynb").read_text()
    assert "unmeshed" in text
    assert "foreign-root" in text


def test_web_answers_most_requests_with_success(walk):
    """30 s hold about 60 requests, so this is wider than the 85 to 98 % of a long run."""
    for side, share in walk.summary["success_rate"].items():
        assert share is None or 0.75 <= share <= 1.0, side


def test_the_run_folder_is_complete(walk):
    names = {path.relative_to(walk.folder).as_posix() for path in walk.folder.rglob("*")}
    assert {"params.json", "versions.json", "summary.json", "report.html", "run.log"} <= names
    charts = {"latency_over_time", "distribution", "success_and_rps", "where_time_goes"}
    assert {f"charts/{c}.{suffix}" for c in charts for suffix in ("png", "svg")} <= names
    assert {"samples/requests.parquet", "samples/series.parquet"} <= names
    assert {n.split("/")[1][:2] for n in names if n.startswith("notebooks/")} == set(CHAPTERS)


def test_executed_notebooks_hold_no_error_no_secret_and_no_path(walk):
    secrets = re.findall(
        r"(?:token|client-key-data): (\S{20,})", (walk.lab / "kubeconfig").read_text()
    )
    assert secrets
    for path in (walk.folder / "notebooks").iterdir():
        text = path.read_text()
        assert '"output_type": "error"' not in text, path.name
        assert str(walk.home.root) not in text, path.name
        assert "PRIVATE KEY" not in text, path.name
        assert not [secret for secret in secrets if secret in text], path.name


def test_the_report_opens_without_a_network(walk):
    page = (walk.folder / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert not re.search(r"(?:src|href)=[\"']https?:", page)


def test_every_notebook_has_its_time(walk):
    assert {name[:2] for name in walk.summary["timings_s"]} == set(CHAPTERS)
    assert all(seconds > 0 for seconds in walk.summary["timings_s"].values())


# --- the lab, still up --------------------------------------------------------------------


def test_a_second_up_says_so_and_changes_nothing(walk):
    before = {p.pid for p in psutil.process_iter() if _is_daemon(p, walk.lab)}
    done = walk.home.run("up", *arguments())
    assert done.returncode == 0, done.stderr
    assert "is up already; nothing was changed" in done.stdout
    assert {p.pid for p in psutil.process_iter() if _is_daemon(p, walk.lab)} == before


def test_a_second_up_with_other_regions_is_refused(walk):
    done = walk.home.run("up", "-p", "lab_name=walk", "-p", "west_region=ams3")
    assert done.returncode == 1
    assert "The lab walk has clusters with other parameters" in done.stderr
    assert "west_region is sfo3, asked ams3" in done.stderr


def test_a_run_beside_a_running_lab_is_refused(walk):
    done = walk.home.run("run", *arguments())
    assert done.returncode == 1
    assert "is up already, and a run needs a fresh one" in done.stderr


def test_status_lists_clusters_and_processes(walk):
    facts = walk.home.json("status", "--lab-name", "walk")
    assert {c["name"]: c["region"] for c in facts["clusters"]} == {"west": "sfo3", "east": "syd1"}
    names = {p["name"] for p in facts["processes"]}
    assert {"daemon", "wan-relay"} <= names


def test_every_process_listens_on_this_machine_only(walk):
    for item in walk.home.json("status", "--lab-name", "walk")["processes"]:
        try:
            sockets = psutil.Process(item["pid"]).net_connections("inet")
        except psutil.Error:  # ended since
            continue
        addresses = {
            s.laddr.ip.removeprefix("::ffff:") for s in sockets if s.status == psutil.CONN_LISTEN
        }
        assert addresses <= {"127.0.0.1"}, item["name"]


def test_the_clusters_check_passes_on_the_command_line(walk):
    done = walk.home.run("check", "1", "06", "--lab-name", "walk")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✔ 01.two-servers" in done.stdout


def test_kubectl_lists_both_sides(walk):
    text = walk.ok("kubectl --context west get deploy,po,svc,endpoints -A -o wide")
    for name in ("deployment.apps/vote-bot", "pod/vote-bot-", "service/web-svc-east"):
        assert name in text
    east = walk.ok("kubectl --context east -n emojivoto get deploy -o name").split()
    assert sorted(east) == [f"deployment.apps/{name}" for name in ("emoji", "voting", "web")]


def test_an_environment_change_rolls_out(walk):
    walk.ok("kubectl --context east -n emojivoto set env deployment/web X=1")
    text = walk.ok("kubectl --context east -n emojivoto rollout status deploy/web --timeout 60s")
    assert "successfully rolled out" in text
    pods = walk.ok("kubectl --context east -n emojivoto get pod -l app=web-svc -o json")
    (pod,) = [p for p in json.loads(pods)["items"] if "deletionTimestamp" not in p["metadata"]]
    assert {"name": "X", "value": "1"} in pod["spec"]["containers"][0]["env"]


def test_tap_shows_requests_to_the_gateway(walk):
    line = "timeout 20 linkerd --context west viz tap deploy/vote-bot -n emojivoto | head -n 6"
    text = walk.ok(line)
    gateway = walk.summary["mirror"]["gateway"][0]
    assert f"dst={gateway}:4143" in text
    assert "tls=true" in text


def test_the_gateway_is_alive_as_west_sees_it(walk, wait):
    def alive():
        text = walk.ok("linkerd --context west multicluster gateways")
        return re.search(r"^east\s+True\s", text, re.MULTILINE)

    wait(alive, "east's gateway to be alive")


def test_a_killed_proxy_comes_back(walk, wait):
    name = walk.ok("kubectl --context west -n emojivoto get po -l app=vote-bot -o name")
    pod = name.strip().rpartition("/")[2]
    assert pod
    (before,) = _envoys(walk, pod)
    os.kill(before, signal.SIGKILL)

    def back():
        found = _envoys(walk, pod)
        return found and found != [before]

    wait(back, "another Envoy of vote-bot")
    _wait_votes(walk, wait)


def test_a_killed_relay_comes_back_and_votes_cross_the_ocean_again(walk, wait):
    before = _processes(walk)["wan-relay"]
    os.kill(before, signal.SIGKILL)
    wait(lambda: _processes(walk).get("wan-relay", before) != before, "another relay")
    _wait_votes(walk, wait)


def test_a_killed_daemon_comes_back_without_loss_or_doubles(walk, wait):
    before = {context: _pods(walk, context) for context in ("west", "east")}
    names = _lasting(walk)
    os.kill(_processes(walk)["daemon"], signal.SIGKILL)
    wait(lambda: not walk.home.json("status", "--lab-name", "walk")["running"], "its end")
    done = walk.home.run("up", *arguments())
    assert done.returncode == 0, done.stderr

    def settled():
        found = {context: _pods(walk, context) for context in before}
        return found == before and _lasting(walk) == names

    with contextlib.suppress(pytest.fail.Exception):  # the comparisons below say more
        wait(settled, "the same pods, Ready, with one process each", timeout_s=90)
    assert {context: _pods(walk, context) for context in before} == before
    assert _lasting(walk) == names
    _wait_votes(walk, wait)


def _pods(walk, context):
    """Pods with their uid and readiness, as far as the API server answers."""
    done = walk.shell(f"kubectl --context {context} get pods -A -o json")
    if done.returncode != 0:
        return None
    found = {}
    for pod in json.loads(done.stdout)["items"]:
        conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions") or []}
        found[pod["metadata"]["name"], pod["metadata"]["uid"]] = conditions.get("Ready")
    return found


def _processes(walk):
    facts = walk.home.json("status", "--lab-name", "walk")["processes"]
    return {item["name"]: item["pid"] for item in facts if isinstance(item, dict)}


def _lasting(walk):
    """Names of the processes; a node's own Envoy starts with the first pod that needs it."""
    facts = walk.home.json("status", "--lab-name", "walk")["processes"]
    names = [item["name"] if isinstance(item, dict) else item for item in facts]
    return sorted(name for name in names if "node-proxy" not in name)


def _wait_votes(walk, wait):
    """Wait until the robot's requests are answered from the other region again."""
    gateway = walk.summary["mirror"]["gateway"][0]
    command = "timeout 15 linkerd --context west viz tap deploy/vote-bot -n emojivoto | head -n 12"

    def votes():
        text = walk.shell(command).stdout
        return f"dst={gateway}:4143 tls=true" in text and ":status=200" in text

    wait(votes, "answered requests to the gateway", timeout_s=90)


def _envoys(walk, pod):
    facts = walk.home.json("status", "--lab-name", "walk")
    return [p["pid"] for p in facts["processes"] if pod in p["name"] and "envoy" in p["name"]]


def _is_daemon(process, lab):
    try:
        line = process.cmdline()
    except psutil.Error:
        return False
    return "labkit.embedded" in line and "serve" in line and str(lab / "cloud") in line
