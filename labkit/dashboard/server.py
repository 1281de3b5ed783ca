"""Serves the live view with Jupyter's own server: its token, its cookies, its checks of hosts.

Of that server nothing else is offered: no kernels, no files, no terminals, and no configuration of
the user's is read. It listens on 127.0.0.1. Deliberately absent: anything about the lab.
"""

import json
import secrets
import signal
import socket
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from tornado import web
from tornado.ioloop import IOLoop

from labkit.dashboard.page import fragments, templates
from labkit.dashboard.watching import Watcher
from labkit.errors import InputError, LabkitError, StateError
from labkit.params import problem_of
from labkit.runs import receipt

ADDRESS = "127.0.0.1"
PORT = 8890
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)
_LIMITS = {
    "rtt_ms": "wan_rtt_ms",
    "jitter_ms": "wan_jitter_ms",
    "jitter_law": "wan_jitter_law",
    "loss": "wan_loss",
}
"""Value of the network → the parameter whose limits it has."""


class _Handler(JupyterHandler):
    def initialize(self, watcher: Watcher) -> None:
        self.watcher = watcher

    @property
    def content_security_policy(self) -> str:
        return _POLICY

    def allowed(self) -> None:
        """Refuse who has no credential: by status, not by a page to log in."""
        if not self.current_user:
            raise web.HTTPError(403)

    async def aside(self, work: Callable[[], Any]) -> Any:
        """Do what may wait for a server in a thread."""
        return await IOLoop.current().run_in_executor(None, work)


class _Page(_Handler):
    @web.authenticated
    def get(self) -> None:
        self.finish(
            templates()
            .get_template("page.html.j2")
            .render(
                lab=self.watcher.lab_name, base=self.base_url, xsrf=self.xsrf_token.decode("utf8")
            )
        )


class _State(_Handler):
    async def get(self) -> None:
        self.allowed()
        snapshot = await self.aside(self.watcher.snapshot)
        self.finish({"panels": fragments(snapshot), "wan": snapshot.wan is not None})


class _Receipt(_Handler):
    async def get(self) -> None:
        self.allowed()
        try:
            costs = await self.aside(lambda: self.watcher.current.lab().cost())
        except LabkitError as error:
            raise web.HTTPError(409, reason="The lab is down") from error
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(receipt.build(costs), indent=1))


class _Checks(_Handler):
    def post(self) -> None:
        self.allowed()
        self.watcher.checks.ask()
        self.finish({"done": "asked"})


class _Wan(_Handler):
    async def post(self) -> None:
        self.allowed()
        try:
            values = network_values(self.request.body)
            state = await self.aside(lambda: self.watcher.set_wan(**values))
        except LabkitError as error:
            self.finish({"problem": str(error)})
            return
        self.finish({"done": f"set: {state.changes[-1].text}"})


class _WanReset(_Handler):
    async def post(self) -> None:
        self.allowed()
        try:
            await self.aside(self.watcher.reset_wan)
        except LabkitError as error:
            self.finish({"problem": str(error)})
            return
        self.finish({"done": "the network is as the parameters ask"})


def network_values(body: bytes) -> dict[str, Any]:
    """What a form asks of the network, with the types of `WanControl.set`.

    Raises:
        InputError: with every problem.
    """
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if not isinstance(given, dict) or not given:
        raise InputError("Nothing to change", fix="fill in at least one field")
    known = {*_LIMITS, "blackhole"}
    values: dict[str, Any] = {}
    problems = [f"{name}: unknown" for name in given if name not in known]
    if "blackhole" in given:
        values["blackhole"] = given["blackhole"] in (True, "true")
    for name in _LIMITS.keys() & given.keys():
        try:
            value = str(given[name]) if name == "jitter_law" else float(given[name])
        except (TypeError, ValueError):
            problems.append(f"{name}: {given[name]!r} is no number")
            continue
        problem = problem_of(_LIMITS[name], value)
        problems += [f"{name}: {problem}"] if problem else []
        values[name] = value
    if problems:
        raise InputError("The network cannot be like this", problems=sorted(problems))
    return values


class _Server(ServerApp):
    """Jupyter's server with nothing but its log-in."""

    default_services = ("auth",)  # type: ignore[assignment]

    def load_config_file(self, *_: object, **__: object) -> None:
        """Read nothing: a configuration could open the server to others."""


def serve(lab_name: str, *, port: int | None, browser: bool, say: Callable[[str], None]) -> None:
    """Serve the live view until Ctrl-C or SIGTERM.

    Args:
        lab_name: of a lab that exists, up or down.
        port: to listen on, 0 for any; None for the usual one or one near it.
        browser: whether to open one.
        say: prints.

    Raises:
        StateError: the port is taken.
    """
    chosen = _port(port)
    token = secrets.token_hex(24)
    watcher = Watcher(lab_name)
    server = _prepare(chosen, token, browser=browser)
    options = {"watcher": watcher}
    static = {"path": str(files("labkit") / "data" / "dashboard")}
    server.web_app.add_handlers(  # type: ignore[no-untyped-call]
        ".*$",
        [
            (r"/", _Page, options),
            (r"/state", _State, options),
            (r"/receipt", _Receipt, options),
            (r"/checks", _Checks, options),
            (r"/wan", _Wan, options),
            (r"/wan/reset", _WanReset, options),
            (r"/static/(dashboard\.(?:css|js))", web.StaticFileHandler, static),
        ],
    )
    watcher.start()
    try:
        say(
            f"Live view of the lab {lab_name}: http://{ADDRESS}:{chosen}/?token={token}\n"
            "Ctrl-C ends it; the lab stays as it is."
        )
        server.start()
    except KeyboardInterrupt:
        return  # it came before the server's own handling of it; this is how it is ended
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave a process
        watcher.stop()


def _prepare(port: int, token: str, *, browser: bool) -> ServerApp:
    server = _Server(
        ip=ADDRESS,
        port=port,
        port_retries=0,
        open_browser=browser,
        default_url="/",
        answer_yes=True,
        allow_root=True,  # it runs no code of users
        log_level="ERROR",
        root_dir=str(files("labkit") / "data" / "dashboard"),
        no_browser_open_file=False,
    )
    server.config.IdentityProvider.token = token
    server.initialize(argv=[], find_extensions=False)
    return server


def _port(wanted: int | None) -> int:
    """A port that is free now."""
    candidates = [*range(PORT, PORT + 10), 0] if wanted is None else [wanted]
    seen = ""
    for candidate in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, candidate))
            except OSError as error:
                seen = error.strerror or str(error)
                continue
            return int(probe.getsockname()[1])
    raise StateError(
        f"The live view cannot listen on {ADDRESS}:{wanted}",
        seen=seen,
        fix="choose another --port, or 0 for any",
    )
