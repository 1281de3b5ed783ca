"""Real Envoys fed by a real xDS server."""

import asyncio
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from labkit.embedded.envoy.admin import EnvoyAdmin
from labkit.embedded.envoy.bootstrap import bootstrap
from labkit.embedded.envoy.process import arguments
from labkit.embedded.envoy.xds import XdsServer
from labkit.embedded.ports import allocate_port


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A folder with a path short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="lk"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def free_socket() -> Callable[[], str]:
    """Hands out loopback addresses that nobody uses."""

    return lambda: f"127.0.0.1:{allocate_port()}"


@pytest.fixture
async def xds(run_dir: Path) -> AsyncIterator[XdsServer]:
    server = XdsServer(run_dir / "xds.sock", hold_s=1.0)
    await server.start()
    yield server
    await server.stop()


StartEnvoy = Callable[[str], Awaitable[EnvoyAdmin]]


@pytest.fixture
async def start_envoy(run_dir: Path, xds: XdsServer) -> AsyncIterator[StartEnvoy]:
    """Starts an Envoy with this node id; its admin interface once it is live."""
    processes: list[asyncio.subprocess.Process] = []
    admins: list[EnvoyAdmin] = []

    async def start(node_id: str) -> EnvoyAdmin:
        admin = EnvoyAdmin(run_dir / f"{node_id}.admin")
        file = run_dir / f"{node_id}.json"
        file.write_text(
            json.dumps(
                bootstrap(
                    node_id=node_id,
                    cluster="test",
                    admin_socket=run_dir / f"{node_id}.admin",
                    xds={"xds": run_dir / "xds.sock"},
                    dynamic_from="xds",
                    instance=uuid.uuid4().hex,
                )
            )
        )
        process = await asyncio.create_subprocess_exec(
            *arguments(file, log_file=run_dir / f"{node_id}.log"), cwd=run_dir
        )
        processes.append(process)
        admins.append(admin)
        async with asyncio.timeout(20):
            while not await admin.live():
                await asyncio.sleep(0.01)
        return admin

    yield start
    for admin in admins:
        await admin.close()
    for process in processes:
        if process.returncode is None:
            process.terminate()
        await process.wait()
