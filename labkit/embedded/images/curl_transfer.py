"""One transfer of the stand-in for curl: connect, secure, ask, and name what went wrong.

Each foreign exception becomes a `Failure` with curl's own exit code and message.
"""

import argparse
import http.client
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from labkit.embedded.images.runtime import (
    ProxyRefused,
    open_connection,
    proxy_address,
    root_path,
)

_VERSION = "8.0.0-labkit"


class Failure(Exception):  # noqa: N818 - curl's word for it is error, with a number
    """A transfer failed.

    Attributes:
        code: curl's exit code.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Transfer:
    """What one attempt saw; the source of `-w`."""

    started: float = field(default_factory=time.monotonic)
    status: int = 0
    size: int = 0
    connected_s: float = 0.0
    first_byte_s: float = 0.0

    def elapsed_s(self) -> float:
        """Seconds since the attempt began."""
        return time.monotonic() - self.started


def fetch(options: argparse.Namespace, transfer: Transfer) -> bytes:
    """Do the transfer that the options ask for.

    Returns:
        What curl would print: the body, with the head in front when that was asked for.

    Raises:
        Failure: with curl's exit code.
    """
    url = urlsplit(options.url if "://" in options.url else f"http://{options.url}")
    if url.scheme not in {"http", "https"}:
        raise Failure(1, f'Protocol "{url.scheme}" not supported')
    try:
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise Failure(3, f"URL rejected: {error}") from error
    if not host:
        raise Failure(3, "URL rejected: No host part in the URL")
    tunnel = url.scheme == "https" or options.proxytunnel or proxy_address() is None
    connection = _connect(options, transfer, host=host, port=port, tunnel=tunnel)
    transfer.connected_s = transfer.elapsed_s()
    if url.scheme == "https":
        connection = _secure(options, connection, host=host)
    try:
        return _exchange(options, transfer, url=url, connection=connection, tunnel=tunnel)
    except ssl.SSLError as error:
        # With TLS 1.3 a server refuses a client's certificate after the handshake.
        raise Failure(56, f"OpenSSL SSL_read: {_tls_reason(error)}, errno 0") from error
    except (http.client.BadStatusLine, http.client.IncompleteRead) as error:
        empty = isinstance(error, http.client.RemoteDisconnected)
        text = "Empty reply from server" if empty else f"Received a broken answer: {error}"
        raise Failure(52 if empty else 18, text) from error
    except OSError as error:
        raise Failure(56, f"Recv failure: {error.strerror or error}") from error
    finally:
        connection.close()


def _connect(
    options: argparse.Namespace, transfer: Transfer, *, host: str, port: int, tunnel: bool
) -> socket.socket:
    address = _resolutions(options.resolve).get((host, port), host)
    proxy = proxy_address()
    started = time.monotonic()
    try:
        if tunnel or proxy is None:
            connection = open_connection(address, port, timeout_s=options.connect_timeout)
        else:
            connection = socket.create_connection(proxy, timeout=options.connect_timeout)
    except ProxyRefused as error:
        raise Failure(56, f"CONNECT tunnel failed, response {error.status}") from error
    except TimeoutError as error:
        waited = round((time.monotonic() - started) * 1000)
        raise Failure(28, f"Connection timed out after {waited} milliseconds") from error
    except socket.gaierror as error:
        raise Failure(6, f"Could not resolve host: {host}") from error
    except ConnectionResetError as error:
        raise Failure(56, f"Recv failure: {error.strerror or error}") from error
    except OSError as error:
        waited = round((time.monotonic() - started) * 1000)
        text = f"Failed to connect to {host} port {port} after {waited} ms"
        raise Failure(7, f"{text}: Could not connect to server") from error
    connection.settimeout(None)
    if options.verbose:
        sys.stderr.write(f"* Connected to {host} ({address}) port {port}\n")
    transfer.connected_s = transfer.elapsed_s()
    return connection


def _resolutions(entries: list[str]) -> Mapping[tuple[str, int], str]:
    table = {}
    for entry in entries:
        host, port, address = [*entry.split(":", 2), "", ""][:3]
        if not (host and port.isdigit() and address):
            raise Failure(49, f"Couldn't parse CURLOPT_RESOLVE entry '{entry}'")
        table[host, int(port)] = address.strip("[]")
    return table


def container_file(name: str) -> str:
    """A file as the pod names it: absolute paths are inside the container."""
    inside = root_path(name)
    return str(inside) if name.startswith("/") and inside.exists() else name


def _secure(options: argparse.Namespace, connection: socket.socket, *, host: str) -> socket.socket:
    context = ssl.create_default_context()
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if options.cacert:
            context.load_verify_locations(cafile=container_file(options.cacert))
    except (OSError, ssl.SSLError) as error:
        raise Failure(77, f"error setting certificate file: {options.cacert}") from error
    try:
        if options.cert:
            context.load_cert_chain(
                container_file(options.cert), options.key and container_file(options.key)
            )
    except (OSError, ssl.SSLError) as error:
        text = f"could not load PEM client certificate from {options.cert}"
        raise Failure(58, text) from error
    try:
        secured = context.wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise Failure(60, f"SSL certificate problem: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise Failure(35, f"TLS connect error: {_tls_reason(error)}") from error
    except OSError as error:
        reason = error.strerror or "unexpected eof while reading"
        raise Failure(35, f"{reason} in connection to {host}") from error
    if options.verbose:
        sys.stderr.write(f"* SSL connection using {secured.version()}\n")
    return secured


def _exchange(
    options: argparse.Namespace,
    transfer: Transfer,
    *,
    url: SplitResult,
    connection: socket.socket,
    tunnel: bool,
) -> bytes:
    data = "&".join(options.data).encode() if options.data is not None else None
    method = options.request or ("HEAD" if options.head else "GET" if data is None else "POST")
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    if not tunnel:
        target = f"{url.scheme}://{url.netloc}{target}"
    headers = _headers(options, url=url, data=data)
    protocol = http.client.HTTPConnection(url.hostname or "")
    protocol.sock = connection
    protocol.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        protocol.putheader(name, value)
    if options.verbose:
        sent = "".join(f"> {name}: {value}\n" for name, value in headers.items())
        sys.stderr.write(f"> {method} {target} HTTP/1.1\n{sent}>\n")
    _send(protocol, connection, data)
    response = protocol.getresponse()
    transfer.first_byte_s = transfer.elapsed_s()
    transfer.status = response.status
    head = [f"HTTP/1.1 {response.status} {response.reason}"]
    head += [f"{name}: {value}" for name, value in response.getheaders()]
    if options.verbose:
        sys.stderr.write("".join(f"< {line}\n" for line in head) + "<\n")
    body = response.read()
    transfer.size = len(body)
    shown = options.include or options.head
    return "\r\n".join([*head, "", ""]).encode() + body if shown else body


def _send(
    protocol: http.client.HTTPConnection, connection: socket.socket, data: bytes | None
) -> None:
    """Send the request; when the peer has gone, say why it went if it said so."""
    try:
        protocol.endheaders(data)
    except OSError:
        # A TLS peer that refuses us sends an alert and closes: the alert is the better reason.
        connection.recv(1)
        raise


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLEOFError):
        return "unexpected eof while reading"
    return (error.reason or str(error)).lower().replace("_", " ")


def _headers(
    options: argparse.Namespace, *, url: SplitResult, data: bytes | None
) -> Mapping[str, str]:
    headers = {"Host": url.netloc, "User-Agent": f"curl/{_VERSION}", "Accept": "*/*"}
    if data is not None:
        headers["Content-Length"] = str(len(data))
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    for line in options.header:
        name, _, value = line.partition(":")
        known = next((h for h in headers if h.lower() == name.strip().lower()), name.strip())
        headers[known] = value.strip()
    return {name: value for name, value in headers.items() if value}
