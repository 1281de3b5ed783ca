"""What the real kubectl tells about pods that fail: the kubelet's events, its reasons and words."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

KUBECTL = Path(sys.executable).with_name("kubectl")
SERVER = {"name": "app", "image": "test/server:v1", "ports": [{"containerPort": 8080}]}
PARTS = {"name": "app", "image": "test/parts:v1"}
CREATED = [
    ("Normal", "Pulled", 'Container image ".*" already present on machine and can be accessed .*'),
    ("Normal", "Created", "Container created"),
]
STARTED = [*CREATED, ("Normal", "Started", "Container started")]
BACK_OFF = ("Warning", "BackOff", r"Back-off restarting failed container app in pod web_default.*")
PROBED = "dial tcp 10.244.0.1:9: connect: connection refused"

STORIES = {
    "no such image": (
        {"name": "app", "image": "nosuch:1"},
        "ImagePullBackOff",
        [
            ("Normal", "Pulling", 'Pulling image "nosuch:1"'),
            ("Warning", "Failed", 'Failed to pull image "nosuch:1": .*not found'),
            ("Warning", "Failed", "Error: ErrImagePull"),
            ("Normal", "BackOff", 'Back-off pulling image "nosuch:1"'),
            ("Warning", "Failed", "Error: ImagePullBackOff"),
        ],
    ),
    "an image that must be there already": (
        {"name": "app", "image": "nosuch:1", "imagePullPolicy": "Never"},
        "ErrImageNeverPull",
        [
            (
                "Warning",
                "ErrImageNeverPull",
                'Container image "nosuch:1" is not present with pull policy of Never',
            ),
            ("Warning", "Failed", "Error: ErrImageNeverPull"),
        ],
    ),
    "no name of an image": (
        {"name": "app", "image": "test/invalid:::"},
        "InvalidImageName",
        [
            (
                "Warning",
                "InspectFailed",
                'Failed to apply default image tag "test/invalid:::": couldn\'t parse image name .*',
            ),
            ("Warning", "Failed", "Error: InvalidImageName"),
        ],
    ),
    "no such command": (
        {**PARTS, "image": "test/parts:distroless", "command": ["nosuch"]},
        "CrashLoopBackOff",
        [
            *CREATED,
            (
                "Warning",
                "Failed",
                'Error: failed to start container: exec: "nosuch": executable file not found .*',
            ),
            BACK_OFF,
        ],
    ),
    "a program that fails": (
        {**PARTS, "command": ["fail"]},
        "CrashLoopBackOff",
        [*STARTED, BACK_OFF],
    ),
    "nobody listens for the readiness probe": (
        {**SERVER, "readinessProbe": {"httpGet": {"port": 9}, "periodSeconds": 1}},
        "0/1",
        [
            *STARTED,
            ("Warning", "Unhealthy", rf'Readiness probe failed: Get "http://10.*:9/": {PROBED}'),
        ],
    ),
    "the liveness probe fails": (
        {
            **SERVER,
            "livenessProbe": {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1},
        },
        "web",  # Running and CrashLoopBackOff take turns
        [
            *STARTED,
            ("Warning", "Unhealthy", f"Liveness probe failed: {PROBED}"),
            ("Normal", "Killing", "Container app failed liveness probe, will be restarted"),
        ],
    ),
    "no such config map in the environment": (
        {
            **PARTS,
            "command": ["sleeper"],
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "a"}}}],
        },
        "CreateContainerConfigError",
        [("Warning", "Failed", 'Error: configmap "no" not found')],
    ),
}


@pytest.mark.parametrize("story", STORIES)
async def test_describe_tells_the_story_of_a_failing_pod(node, apiserver, story):
    container, status, expected = STORIES[story]
    await node.create({"containers": [container]})
    wanted = [
        re.compile(rf"{kind} +{reason} .* kubelet +spec\.containers\{{app\}}: {message}")
        for kind, reason, message in expected
    ]
    described, listed = "", ""
    try:
        async with asyncio.timeout(60):
            while not all(pattern.search(described) for pattern in wanted) or status not in listed:
                described = await kubectl(apiserver, "describe", "pod", "web")
                listed = await kubectl(apiserver, "get", "pod", "web", "--no-headers")
    except TimeoutError:
        pytest.fail(
            f"never told: {[p.pattern for p in wanted if not p.search(described)]}\n"
            f"{described}\n{listed}"
        )
    events = described.partition("\nEvents:")[2].splitlines()
    told = [line for line in events if " kubelet " in line]
    unexpected = [line for line in told if not any(p.search(line) for p in wanted)]
    assert [line for line in unexpected if " BackOff " not in line] == []


def status_of(pod):
    return (pod["status"].get("containerStatuses") or [{}])[0]


async def test_another_image_mends_a_pod(node, apiserver):
    """The learner's usual mistake and its repair, by `kubectl set image`."""
    await node.create(
        {"containers": [{"name": "app", "image": "nosuch:1", "command": ["sleeper"]}]}
    )
    await node.wait(lambda pod: status_of(pod).get("state", {}).get("waiting"))
    await kubectl(apiserver, "set", "image", "pod/web", "app=test/parts:v1")
    found = status_of(await node.wait(lambda pod: status_of(pod).get("ready"), within_s=30))
    assert (found["image"], found["restartCount"]) == ("test/parts:v1", 0)


async def test_a_running_container_is_replaced_when_its_image_changes(node, apiserver):
    await node.create({"containers": [{**PARTS, "command": ["sleeper"]}], "restartPolicy": "Never"})
    await node.wait(lambda pod: status_of(pod).get("ready"), within_s=30)
    await kubectl(apiserver, "set", "image", "pod/web", "app=test/parts:v2")

    def restarted(pod):
        return status_of(pod).get("restartCount") == 1 and status_of(pod)["ready"]

    found = status_of(await node.wait(restarted, within_s=30))
    assert found["image"] == "test/parts:v2"
    described = await kubectl(apiserver, "describe", "pod", "web")
    assert "Container app definition changed, will be restarted" in described


async def kubectl(apiserver, *arguments):
    process = await asyncio.create_subprocess_exec(
        KUBECTL,
        *("--kubeconfig", str(apiserver.kubeconfig)),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()
