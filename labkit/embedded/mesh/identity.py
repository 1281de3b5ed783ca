"""The identity component: signs a proxy's certificate when its service-account token is valid.

`POST /certify {"csr": PEM, "token": …}` on the unix socket `identity.sock` of the cluster. The
token is checked by a TokenReview; the name that is signed is the service account's and no other.
The issuer and the trust roots are the mounted Secret linkerd-identity-issuer and ConfigMap
linkerd-identity-trust-roots; they are read at each request, so a new issuer is used as soon as the
node has refreshed the volume. A certificate never outlives its issuer.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from labkit import certs
from labkit.embedded.kube import KubeClient, KubeError, path_of
from labkit.embedded.mesh import names
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.mesh.serving import admin_application, chosen
from labkit.embedded.serving import served
from labkit.errors import LabkitError

logger = logging.getLogger(__name__)

LIFETIME = timedelta(hours=24)
ISSUER_FOLDER = "var/run/linkerd/identity/issuer"
TRUST_ROOTS_FOLDER = "var/run/linkerd/identity/trust-roots"
AUDIENCE = "identity.l5d.io"
_PORTS = (8080, 9990)
_PREFIX = "system:serviceaccount:"


class Refused(LabkitError):  # noqa: N818 - reads as what happened
    """A certificate is not given."""


class Identity:
    """The certificate authority of one cluster.

    Args:
        kube: client that may review tokens.
        folder: root of the container, where issuer and trust roots are mounted.
    """

    def __init__(self, kube: KubeClient, folder: Path) -> None:
        self._kube = kube
        self._folder = folder
        self.issued = 0

    async def certify(self, csr: str, token: str) -> dict[str, str]:
        """Chain, trust roots and name for a signing request.

        Raises:
            Refused: the token is not valid, or the request asks for another name.
            KubeError: the API server cannot be asked.
        """
        service_account, namespace = await self._review(token)
        name = names.identity_of(service_account, namespace)
        issuer = await self._issuer()
        roots = await self._trust_roots()
        left = issuer.not_after - datetime.now(UTC)
        try:
            certs.verify_chain(issuer.certificate, roots.encode())
            chain = certs.sign_csr(
                issuer, csr.encode(), dns_name=name, valid_for=min(LIFETIME, left)
            )
        except LabkitError as error:
            raise Refused(f"no certificate for {name}", seen=str(error)) from error
        self.issued += 1
        return {"chain": chain.decode(), "trust_roots": roots, "name": name}

    async def _review(self, token: str) -> tuple[str, str]:
        spec: dict[str, object] = {"token": token}
        if AUDIENCE in _audiences(token):
            spec["audiences"] = [AUDIENCE]
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        path = path_of("authentication.k8s.io/v1", "tokenreviews")
        status = (await self._kube.create(path, review)).get("status", {})
        user = status.get("user", {}).get("username", "")
        if not status.get("authenticated") or not user.startswith(_PREFIX):
            raise Refused("the service-account token is not valid", seen=status.get("error", ""))
        namespace, _, service_account = user.removeprefix(_PREFIX).partition(":")
        return service_account, namespace

    async def _issuer(self) -> certs.Credential:
        data = await asyncio.to_thread(_files, self._folder / ISSUER_FOLDER)
        for certificate, key in (("crt.pem", "key.pem"), ("tls.crt", "tls.key")):
            if certificate in data and key in data:
                return certs.Credential(certificate=data[certificate], key=data[key])
        raise Refused(
            "there is no issuer to sign with",
            seen=f"/{ISSUER_FOLDER} holds {sorted(data)}",
            fix="store crt.pem and key.pem in Secret linkerd/linkerd-identity-issuer",
        )

    async def _trust_roots(self) -> str:
        data = await asyncio.to_thread(_files, self._folder / TRUST_ROOTS_FOLDER)
        return data.get("ca-bundle.crt", b"").decode()


def _files(folder: Path) -> dict[str, bytes]:
    """The keys of a mounted Secret or ConfigMap."""
    try:
        names = [path for path in folder.iterdir() if not path.name.startswith("..")]
    except OSError:
        return {}
    return {path.name: path.read_bytes() for path in names if path.is_file()}


def _audiences(token: str) -> list[str]:
    """The audiences a token claims; unverified, only to ask the review for the right one."""
    import jwt

    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return []
    audience = claims.get("aud", [])
    return [audience] if isinstance(audience, str) else list(audience)


def application(identity: Identity) -> web.Application:
    """The HTTP side: 200 with the chain, 403 refused, 503 try again."""

    async def certify(request: web.Request) -> web.Response:
        body = await request.json()
        try:
            answer = await identity.certify(str(body["csr"]), str(body["token"]))
        except Refused as error:
            logger.warning("identity: %s", error)
            return web.json_response({"message": str(error)}, status=403)
        except KubeError as error:
            return web.json_response({"message": str(error)}, status=503)
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/certify", certify)
    return app


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled."""
    async with kube_client(container, "linkerd-identity") as kube:
        identity = Identity(kube, container.root)
        admin = admin_application(
            lambda: True, lambda: f"identity_cert_issued_total {identity.issued}\n"
        )
        async with (
            served(application(identity), path=container.run_dir / "identity.sock"),
            served(admin, chosen(container.app_sockets, _PORTS)),
        ):
            runtime.log("identity: signing certificates")
            await asyncio.Event().wait()
    return 0
