"""`linkerd viz dashboard`: viz' web page on a local port, until it is stopped.

Every connection to the local port becomes a port-forward of its own. Deliberately absent: Grafana.
"""

import argparse
import contextlib
import socketserver
import threading
import webbrowser
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster
from labkit.embedded.linkerd.output import err, out
from labkit.embedded.linkerd.portforward import open_port, viz_pod
from labkit.errors import LabkitError

_WEB_PORT = 8084
_CHUNK = 65536


def dashboard_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `viz dashboard`."""
    parser.add_argument("--address", default="localhost")
    parser.add_argument("-p", "--port", type=int, default=50750)
    parser.add_argument("--show", choices=["linkerd", "grafana", "url"], default="linkerd")
    parser.add_argument("--wait", default="300s")


def dashboard(options: argparse.Namespace) -> int:
    """`linkerd viz dashboard`: serves until stopped."""
    cluster = Cluster.of(options)
    viz_pod(cluster, "web")
    try:
        server = _Server((options.address, options.port), _Relay)
    except OSError as error:
        raise LabkitError(
            f"Linkerd dashboard cannot listen on {options.address}:{options.port}",
            seen=str(error),
            fix="choose another port with --port, or 0 for any",
        ) from error
    with server:
        server.cluster = cluster
        url = f"http://{options.address}:{server.server_address[1]}"
        out(f"Linkerd dashboard available at:\n{url}")
        if options.show != "url" and not webbrowser.open(url):
            err(f"Failed to open the browser; open {url} by hand")
        server.serve_forever()
    return 0


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    cluster: Cluster


class _Relay(socketserver.BaseRequestHandler):
    """Copies bytes between a browser's connection and the pod."""

    server: _Server

    def handle(self) -> None:
        """Serve one connection to its end."""
        # A connection to the API server belongs to one thread, so each has its own.
        cluster = Cluster(self.server.cluster.endpoint)
        try:
            pod = viz_pod(cluster, "web")
            with open_port(cluster, "linkerd-viz", pod, _WEB_PORT, timeout=None) as stream:
                upward = threading.Thread(target=self._upward, args=(stream,), daemon=True)
                upward.start()
                while data := stream.read(_CHUNK):
                    self.request.sendall(data)
        except (LabkitError, OSError) as error:
            err(f"the dashboard's connection has ended: {error}")

    def _upward(self, stream: Any) -> None:
        try:
            while data := self.request.recv(_CHUNK):
                stream.sendall(data)
        except (OSError, ValueError):
            return
        finally:
            with contextlib.suppress(Exception):
                stream.websocket.send_close()  # the pod's side answers, and reading ends
