"""Jobs whose pods fail: the next pod waits, and the Job gives up in the end."""

from datetime import UTC, datetime, timedelta

import pytest

from labkit.embedded.controllers import job_outcomes
from labkit.embedded.kube import path_of

NS = "jobs"
JOBS = path_of("batch/v1", "jobs", NS)


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(phase: str, seconds: float):
    """A pod that ended some seconds ago."""
    terminated = {"exitCode": 1, "finishedAt": ago(seconds)}
    states = [{"name": "c", "state": {"terminated": terminated}, "restartCount": 0}]
    metadata = {"name": "p", "creationTimestamp": ago(1000)}
    return {"metadata": metadata, "status": {"phase": phase, "containerStatuses": states}}


@pytest.mark.parametrize(
    ("pods", "expected_s"),
    [
        ([], 0),
        ([("Succeeded", 1)], 0),
        ([("Failed", 0)], 10),
        ([("Failed", 4)], 6),
        ([("Failed", 100), ("Failed", 0)], 20),
        ([("Failed", 200), ("Failed", 100), ("Failed", 0)], 40),
        ([("Failed", 200), ("Succeeded", 100), ("Failed", 0)], 10),
        ([("Failed", 100), ("Failed", 50)], 0),
        ([("Failed", n) for n in range(30)], 600),
    ],
)
def test_the_next_pod_waits_twice_as_long_after_each_failure(pods, expected_s):
    found = job_outcomes.wait_s([ended(phase, seconds) for phase, seconds in pods])
    assert found == pytest.approx(expected_s, abs=2.5)


@pytest.mark.parametrize(
    ("limit", "restarts", "reason"),
    [(2, 1, ""), (2, 2, "BackoffLimitExceeded"), (0, 0, ""), (0, 1, "BackoffLimitExceeded")],
)
def test_restarts_in_a_pod_count_as_failures(limit, restarts, reason):
    template = {"spec": {"restartPolicy": "OnFailure"}}
    job = {"spec": {"backoffLimit": limit, "template": template}}
    running = {"status": {"phase": "Running", "containerStatuses": [{"restartCount": restarts}]}}
    assert job_outcomes.failure(job, [running], [running])[0] == reason


@pytest.fixture
async def start(cluster):
    """`await start(name, **spec)`: a Job, and the pods that it has by now."""
    await cluster.add_namespace(NS)

    async def started(name, **spec):
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}
        metadata = {"name": name}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}
        await cluster.create({**body, "spec": {"template": template, **spec}}, NS)
        return await cluster.eventually(lambda: cluster.pods(NS))

    return started


async def fail(cluster, pod, seconds: float) -> None:
    path = path_of("v1", "pods", NS, pod["metadata"]["name"], "status")
    await cluster.kube.patch(path, {"status": ended("Failed", seconds)["status"]})


async def test_a_pod_that_failed_is_followed_by_another_later(cluster, start):
    (first,) = await start("again")
    await fail(cluster, first, 60)

    async def second():
        return [
            p for p in await cluster.pods(NS) if p["metadata"]["uid"] != first["metadata"]["uid"]
        ]

    (pod,) = await cluster.eventually(second)
    await fail(cluster, pod, 0)

    async def both_failed():
        status = (await cluster.kube.get(f"{JOBS}/again"))["status"]
        return status["failed"] == 2 and status["active"] == 0

    await cluster.eventually(both_failed)
    assert len(await cluster.pods(NS)) == 2  # the third comes in twenty seconds


async def test_a_job_that_gives_up_leaves_no_pod_running(cluster, start):
    pods = await start("gives-up", parallelism=2, completions=2, backoffLimit=0)

    async def two():
        found = await cluster.pods(NS)
        return found if len(found) == 2 else None

    pods = await cluster.eventually(two)
    await fail(cluster, pods[0], 60)

    async def conditions():
        return (await cluster.kube.get(f"{JOBS}/gives-up"))["status"]["conditions"]

    found = await cluster.eventually(conditions)
    assert [(c["type"], c["reason"]) for c in found] == [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ]
    assert [p["metadata"]["uid"] for p in await cluster.pods(NS)] == [pods[0]["metadata"]["uid"]]


async def test_a_job_that_takes_too_long_has_failed(cluster, start):
    await start("late", activeDeadlineSeconds=1)

    async def conditions():
        return (await cluster.kube.get(f"{JOBS}/late"))["status"]["conditions"]

    found = await cluster.eventually(conditions)
    assert {c["reason"] for c in found} == {"DeadlineExceeded"}
    assert await cluster.pods(NS) == []
