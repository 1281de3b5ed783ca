"""`linkerd diagnostics proxy-metrics|endpoints` and `linkerd identity`: a look at the proxies.

Metrics come from each pod's own admin port; what goes wrong with one pod is a comment in the
output and no failure, as in the real command. `endpoints` answers from the EndpointSlices, which
are what the destination controller reads. Deliberately absent: `--obfuscate`.
"""

import argparse
import ssl
from typing import Any

from labkit.embedded.linkerd.cluster import Cluster, Object
from labkit.embedded.linkerd.output import err, out, out_json, table
from labkit.embedded.linkerd.portforward import http_response, open_port, pods_of
from labkit.embedded.linkerd.resources import one
from labkit.embedded.linkerd.version import proxy_of
from labkit.errors import InputError, LabkitError

_ADMIN_PORT = 4191
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"


def proxy_metrics_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `diagnostics proxy-metrics`."""
    parser.add_argument("resource", nargs="+", metavar="TYPE/NAME")
    parser.add_argument("-n", "--namespace", default="")


def proxy_metrics(options: argparse.Namespace) -> int:
    """`linkerd diagnostics proxy-metrics TYPE/NAME`."""
    cluster = Cluster.of(options)
    namespace = options.namespace or cluster.endpoint.namespace
    kind, name = one(options.resource)
    if not name:
        raise InputError("you must specify one resource by name")
    pods = [pod for pod in pods_of(cluster, namespace, kind, name) if proxy_of(pod)]
    for index, pod in enumerate(pods, start=1):
        pod_name = pod["metadata"]["name"]
        out(f"#\n# POD {pod_name} ({index} of {len(pods)})\n#")
        try:
            target = (namespace, pod_name, _ADMIN_PORT)
            with http_response(cluster, target, "/metrics") as response:
                out(response.read().decode())
        except LabkitError as error:
            out(f"# ERROR: {error.what}: {error.seen}")
    return 0


def endpoints_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `diagnostics endpoints`."""
    parser.add_argument("authorities", nargs="+", metavar="AUTHORITY:PORT")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--destination-pod", default="", help=argparse.SUPPRESS)


def endpoints(options: argparse.Namespace) -> int:
    """`linkerd diagnostics endpoints AUTHORITY:PORT`."""
    cluster = Cluster.of(options)
    rows: list[dict[str, Any]] = []
    for authority in options.authorities:
        rows += _endpoints(cluster, authority)
    if options.output == "json":
        out_json(rows)
    elif not rows:
        err("No endpoints found.")
    else:
        lines = [
            [row["namespace"], row["ip"], str(row["port"]), row["pod"] or "-", row["service"]]
            for row in rows
        ]
        out(table(["NAMESPACE", "IP", "PORT", "POD", "SERVICE"], lines))
    return 0


def _endpoints(cluster: Cluster, authority: str) -> list[dict[str, Any]]:
    host, colon, port = authority.rpartition(":")
    parts = host.split(".")
    if not colon or not port.isdigit() or len(parts) < 2:
        raise InputError(f"Destination API error: Invalid authority {authority}")
    name, namespace = parts[:2]
    service = cluster.find(f"/api/v1/namespaces/{namespace}/services/{name}")
    if service is None:
        raise LabkitError(f"Destination API error: Service {name}.{namespace} not found")
    wanted = next((p for p in service["spec"]["ports"] if p["port"] == int(port)), None)
    if wanted is None:
        return []
    slices = cluster.list(
        _SLICES.format(namespace), labelSelector=f"kubernetes.io/service-name={name}"
    )
    return [
        _endpoint(item, endpoint, address, (namespace, name, wanted))
        for item in slices
        for endpoint in item.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint["addresses"]
    ]


def _endpoint(
    item: Object, endpoint: Object, address: str, service: tuple[str, str, Object]
) -> dict[str, Any]:
    namespace, name, port = service
    numbers = {p.get("name") or "": p.get("port") for p in item.get("ports") or []}
    pod = (endpoint.get("targetRef") or {}).get("name", "")
    labels = (item.get("metadata") or {}).get("labels") or {}
    return {
        "namespace": namespace,
        "ip": address,
        "port": numbers.get(port.get("name") or "", port["port"]),
        "pod": pod,
        "service": f"{name}.{namespace}",
        "weight": 10000,
        "labels": {
            key.rpartition("/")[2]: value for key, value in labels.items() if "mirror" in key
        },
    }


def identity_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of `identity`."""
    parser.add_argument("pods", nargs="*", metavar="POD")
    parser.add_argument("-n", "--namespace", default="")
    parser.add_argument("-l", "--selector", default="")


def identity(options: argparse.Namespace) -> int:
    """`linkerd identity POD…`: the certificate each proxy shows, as text."""
    if not options.pods and not options.selector:
        raise InputError("Provide the pod name argument or use the selector flag")
    cluster = Cluster.of(options)
    namespace = options.namespace or cluster.endpoint.namespace
    path = f"/api/v1/namespaces/{namespace}/pods"
    if options.selector:
        pods = cluster.list(path, labelSelector=options.selector)
    else:
        pods = [cluster.get(f"{path}/{name}") for name in options.pods]
    for index, pod in enumerate(pods, start=1):
        name = pod["metadata"]["name"]
        out(f"\nPOD {name} ({index} of {len(pods)})\n")
        try:
            out(describe(_certificate(cluster, namespace, name)))
        except (LabkitError, OSError) as error:
            out(f"ERROR: {error}")
    return 0


def _certificate(cluster: Cluster, namespace: str, pod: str) -> bytes:
    """The certificate (DER) that a proxy's admin port shows to a TLS client.

    Raises:
        LabkitError: the pod does not answer.
        OSError: it does not speak TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate is only shown, to be judged by people
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing)
    with open_port(cluster, namespace, pod, _ADMIN_PORT) as stream:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                stream.sendall(outgoing.read())
                received = stream.read(65536)
                if not received:
                    raise
                incoming.write(received)
            except ssl.SSLError:
                # It wants a client's certificate, after it has shown its own.
                if client.getpeercert(binary_form=True) is None:
                    raise
                break
    certificate = client.getpeercert(binary_form=True)
    if certificate is None:
        raise OSError("no certificate was shown")
    return certificate


def describe(der: bytes) -> str:
    """A certificate in words, the lines of `openssl x509 -text` that matter."""
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = ", ".join(f"DNS:{name}" for name in names.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        dns = "none"
    algorithm = certificate.signature_hash_algorithm
    return "\n".join(
        [
            "Certificate:",
            "    Data:",
            f"        Version: 3 ({certificate.version.value:#x})",
            f"        Serial Number: {certificate.serial_number}",
            f"    Signature Algorithm: ECDSA-{(algorithm.name if algorithm else '').upper()}",
            f"        Issuer: {certificate.issuer.rfc4514_string()}",
            "        Validity",
            f"            Not Before: {certificate.not_valid_before_utc:%b %d %H:%M:%S %Y} UTC",
            f"            Not After : {certificate.not_valid_after_utc:%b %d %H:%M:%S %Y} UTC",
            f"        Subject: {certificate.subject.rfc4514_string()}",
            "        X509v3 Subject Alternative Name:",
            f"            {dns}",
        ]
    )
