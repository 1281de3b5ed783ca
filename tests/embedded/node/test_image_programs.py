"""A shell in a container finds the image's own programs."""

import dataclasses

import pytest

from labkit.chapters import load
from labkit.embedded.images import catalog, http_server
from labkit.embedded.node.logs import stored_lines

RATE = 25


@pytest.fixture
def node_config(node_config):
    return dataclasses.replace(
        node_config, find_program=catalog.find_program, has_shell=catalog.has_shell
    )


async def test_the_load_generators_pipeline_runs_in_its_image(node):
    async def answer(_):
        return http_server.Response(b"[]")

    server = await http_server.serve(answer, ("127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    text = load.command(rate=RATE, seconds=1, keepalive=True).replace(
        load.TARGET, f"127.0.0.1:{port}"
    )
    container = {
        "name": "vegeta",
        "image": "peterevans/vegeta:6.9.1",
        # There is no sidecar here: straight to the server.
        "command": ["sh", "-c", f"unset http_proxy; {text}"],
    }
    await node.create({"containers": [container], "restartPolicy": "Never"})
    pod = await node.wait(
        lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"), within_s=60
    )
    log = node.agent.find_worker("default", "web").lives["vegeta"].log_path()
    lines = [line.decode().partition(" ")[2] for line in stored_lines(log)]  # without the time
    server.close()
    assert pod["status"]["phase"] == "Succeeded", lines
    plan = load.read_results(lines, rate=RATE, seconds=1)
    assert [request.outcome for request in plan] == ["response"] * RATE
