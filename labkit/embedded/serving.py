"""An aiohttp application on real sockets while a context lasts.

For components that run in the daemon beside others of their kind: a newer one takes over a unix
socket, and the older one leaves it alone when it ends.
"""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext

from aiohttp import web

_SHUTDOWN_S = 0.2


@asynccontextmanager
async def served(
    app: web.Application,
    sockets: Iterable[str] = (),
    *,
    tls: SSLContext | None = None,
    path: Path | None = None,
) -> AsyncIterator[list[str]]:
    """Serve an application while the context lasts.

    Args:
        app: the application.
        sockets: `HOST:PORT` addresses; port 0 takes a free one.
        tls: serve HTTPS on them.
        path: serve on this unix socket (0600), too. It takes the place of one that a killed
            process left, and a newer server may take it over: a rollout starts the new pod
            before the old one ends.

    Yields:
        The addresses that are really listened on.
    """
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=_SHUTDOWN_S, handler_cancellation=True
    )
    await runner.setup()
    inode = 0
    try:
        for socket in sockets:
            host, _, port = socket.rpartition(":")
            await web.TCPSite(runner, host, int(port), ssl_context=tls).start()
        addresses = [f"{address[0]}:{address[1]}" for address in runner.addresses]
        if path is not None:
            inode = await _listen(runner, path)
        yield addresses
    finally:
        await runner.cleanup()
        if path is not None:
            _remove(path, inode)


async def _listen(runner: web.AppRunner, path: Path) -> int:
    """Listen on a unix socket in place of whoever did; its inode number tells it from others."""
    fresh = path.with_suffix(f".{os.urandom(3).hex()}")
    await web.UnixSite(runner, str(fresh)).start()
    os.chmod(fresh, 0o600)  # noqa: PTH101 - Path.chmod counts as blocking, this does not
    os.replace(fresh, path)  # noqa: PTH105 - the same
    return os.stat(path).st_ino  # noqa: PTH116 - the same


def _remove(path: Path, inode: int) -> None:
    try:
        if path.stat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        return
