"""The stand-in for curl: requests, exit codes and messages."""

import ssl
import subprocess
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from labkit import certs


@pytest.fixture
def curl(tools):
    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "labkit.embedded.images.curl", *arguments]
        return subprocess.run(
            command, env=tools.environment({}, env), capture_output=True, text=True, timeout=30
        )

    return run


@pytest.fixture
def web(tools):
    with tools.recording() as recorder:
        recorder.body = b"hello\n"
        yield recorder


def test_the_body_goes_to_standard_output(curl, web):
    result = curl("-sS", f"http://{web.address}/a?b=c")
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello\n", "")
    assert web.requests[0][:2] == ("GET", "/a?b=c")


def test_write_out_and_a_discarded_body(curl, web):
    web.status = 404
    result = curl("-s", "-o", "/dev/null", "-w", "%{http_code}\\n", f"http://{web.address}/")
    assert (result.returncode, result.stdout) == (0, "404\n")


def test_fail_makes_an_error_of_a_status(curl, web):
    web.status = 503
    result = curl("-fsS", f"http://{web.address}/")
    assert result.returncode == 22
    assert result.stderr == "curl: (22) The requested URL returned error: 503\n"
    assert result.stdout == ""


def test_method_headers_and_data(curl, web):
    curl("-X", "PUT", "-H", "X-One: 1", "-H", "Host: other", "-d", "a=1", f"http://{web.address}/")
    method, _, headers = web.requests[0]
    assert method == "PUT"
    assert (headers["X-One"], headers["Host"], headers["Content-Length"]) == ("1", "other", "3")


def test_include_and_verbose(curl, web):
    result = curl("-si", f"http://{web.address}/")
    assert result.stdout.startswith("HTTP/1.1 200 OK")
    assert result.stdout.endswith("\n\nhello\n")
    result = curl("-v", f"http://{web.address}/")
    assert "> GET / HTTP/1.1" in result.stderr
    assert "< HTTP/1.1 200 OK" in result.stderr


def test_http_goes_to_the_proxy_in_absolute_form(curl, web):
    result = curl("-s", "http://web-svc.emojivoto:80/x", http_proxy=f"http://{web.address}")
    assert result.stdout == "hello\n"
    assert web.requests[0][:2] == ("GET", "http://web-svc.emojivoto:80/x")
    assert web.requests[0][2]["Host"] == "web-svc.emojivoto:80"


def test_proxytunnel_connects_first(curl, web, tools):
    with tools.recording() as proxy:
        result = curl("-sp", f"http://{web.address}/x", http_proxy=f"http://{proxy.address}")
    assert result.stdout == "hello\n"
    assert proxy.requests[0][:2] == ("CONNECT", web.address)


def test_a_refused_tunnel_is_error_56(curl, tools):
    with tools.recording() as proxy:
        proxy.status = 503
        result = curl("-sS", "https://gateway:4143/", http_proxy=f"http://{proxy.address}")
    assert result.returncode == 56
    assert result.stderr == "curl: (56) CONNECT tunnel failed, response 503\n"


def test_nobody_listens(curl):
    result = curl("-sS", "http://127.0.0.1:1/")
    assert result.returncode == 7
    assert result.stderr.startswith("curl: (7) Failed to connect to 127.0.0.1 port 1 after ")
    assert curl("-s", "http://127.0.0.1:1/").stderr == ""


def test_a_silent_server_is_a_timeout(curl, tools):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        result = curl("-sS", "-m", "0.3", f"http://127.0.0.1:{server.getsockname()[1]}/")
    assert result.returncode == 28
    assert result.stderr.startswith("curl: (28) Operation timed out after ")


def test_an_empty_reply(curl):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        result = curl("-sS", f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert result.returncode == 52
    assert result.stderr == "curl: (52) Empty reply from server\n"


def test_retry_waits_for_a_server_to_recover(curl, web):
    web.status = 503
    threading.Timer(0.5, lambda: setattr(web, "status", 200)).start()
    result = curl("-s", "--retry", "20", "--retry-delay", "0.1", f"http://{web.address}/")
    assert (result.returncode, result.stdout) == (0, "hello\n")
    assert len(web.requests) > 1


@pytest.mark.parametrize("arguments", [("--location", "http://x/"), ("-Z",), ()])
def test_what_it_does_not_know_it_refuses(curl, arguments):
    result = curl(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("curl: ")


def test_an_unknown_scheme(curl):
    assert curl("-s", "gopher://x/").returncode == 1


@pytest.fixture(scope="module")
def authority() -> certs.Credential:
    return certs.create_root("curl-tests")


@pytest.fixture(scope="module")
def issuer(authority) -> certs.Credential:
    return certs.create_issuer(authority, "curl-issuer")


@pytest.fixture
def secure(authority, issuer, tmp_path):
    """An HTTPS server that wants a certificate of the same authority."""
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.certificate)
    leaf = certs.create_leaf(issuer, dns_names=["gateway.test"], ip_addresses=["127.0.0.1"])
    certs.write_credential(leaf, tmp_path / "server.pem", tmp_path / "server.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(roots)
    context.verify_mode = ssl.CERT_REQUIRED

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"in\n")

        def log_message(self, *_: object) -> None:
            pass

    class Server(HTTPServer):
        def get_request(self):
            connection, address = super().get_request()
            return context.wrap_socket(connection, server_side=True), address

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    client = certs.create_leaf(issuer, dns_names=["client.test"], valid_for=timedelta(hours=1))
    certs.write_credential(client, tmp_path / "client.pem", tmp_path / "client.key")
    yield server.server_address[1], roots
    server.shutdown()
    thread.join()
    server.server_close()


def was_told(text: str, alert: str) -> bool:
    """The alert, unless the connection was reset before it could be read."""
    return any(word in text for word in (alert, "eof", "reset"))


def test_mutual_tls_with_another_name_for_the_address(curl, secure, tmp_path):
    port, roots = secure
    pair = ("--cert", str(tmp_path / "client.pem"), "--key", str(tmp_path / "client.key"))
    resolve = ("--resolve", f"gateway.test:{port}:127.0.0.1")
    url = f"https://gateway.test:{port}/"
    result = curl("-sS", "--cacert", str(roots), *pair, *resolve, url)
    assert (result.returncode, result.stdout) == (0, "in\n"), result.stderr


def test_an_untrusted_server_is_error_60(curl, secure):
    port, _ = secure
    result = curl("-sS", f"https://127.0.0.1:{port}/")
    assert result.returncode == 60
    assert result.stderr.startswith("curl: (60) SSL certificate problem: ")


def test_a_client_without_a_certificate_is_refused(curl, secure):
    port, _ = secure
    result = curl("-sSk", f"https://127.0.0.1:{port}/")
    assert result.returncode == 56
    assert was_told(result.stderr, "certificate required")


def test_a_client_of_another_authority_is_refused(curl, secure, tmp_path):
    port, _ = secure
    stranger = certs.create_issuer(certs.create_root("stranger"), "stranger-issuer")
    leaf = certs.create_leaf(stranger, dns_names=["client.test"])
    certs.write_credential(leaf, tmp_path / "x.pem", tmp_path / "x.key")
    pair = ("--cert", str(tmp_path / "x.pem"), "--key", str(tmp_path / "x.key"))
    result = curl("-sSk", *pair, f"https://127.0.0.1:{port}/")
    assert result.returncode == 56
    assert was_told(result.stderr, "unknown ca")


def test_no_tls_on_the_other_side_is_error_35(curl, web):
    assert curl("-sSk", f"https://{web.address}/").returncode == 35


def test_a_broken_client_certificate_is_error_58(curl, secure, tmp_path):
    port, _ = secure
    (tmp_path / "broken.pem").write_text("nothing")
    result = curl("-sSk", "--cert", str(tmp_path / "broken.pem"), f"https://127.0.0.1:{port}/")
    assert result.returncode == 58


def test_absolute_paths_are_inside_the_container(curl, secure, tmp_path):
    port, _ = secure
    url = f"https://127.0.0.1:{port}/"
    arguments = ("--cacert", "/roots.pem", "--cert", "/client.pem", "--key", "/client.key")
    result = curl("-sS", *arguments, url, LABKIT_ROOT=str(tmp_path))
    assert (result.returncode, result.stdout) == (0, "in\n"), result.stderr
