"""Chapter 02: one root and one issuer, which both clusters will trust.

`cryptography` makes what `step certificate create` would: ECDSA P-256, a root with path length 1
and an issuer with path length 0. Keys stay in the lab's folder with mode 0600.
"""

import shlex
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from labkit import certs
from labkit.checks import Check, Finding, Reason, passed
from labkit.context import CLUSTERS, LabContext
from labkit.display import Step, Table
from labkit.errors import CertificateError, StateError

ISSUER_VALIDITY = timedelta(hours=8760)
"""One year, as the tutorial asks for (`--not-after 8760h`)."""

PRIVATE = 0o600
WARN_BEFORE = timedelta(days=60)
"""Linkerd's own check warns from here on."""

SHELL = (
    (
        f"step certificate create {certs.ROOT_NAME} root.crt root.key "
        "--profile root-ca --no-password --insecure"
    ),
    (
        f"step certificate create {certs.ISSUER_NAME} issuer.crt issuer.key "
        "--profile intermediate-ca --not-after 8760h --no-password --insecure "
        "--ca root.crt --ca-key root.key"
    ),
)


def files(lab: LabContext, name: str) -> tuple[Path, Path]:
    """Certificate and key file of `root` or `issuer`."""
    return lab.folder.certificates / f"{name}.crt", lab.folder.certificates / f"{name}.key"


def read(lab: LabContext, name: str) -> certs.Credential:
    """The lab's `root` or `issuer`.

    Raises:
        StateError: it has not been created.
    """
    certificate, key = files(lab, name)
    if not certificate.exists() or not key.exists():
        raise StateError(
            f"The lab has no {name} certificate yet",
            seen=f"{certificate} is missing",
            fix="run notebook 02_trust_anchor, or `labkit up`",
        )
    return certs.read_credential(certificate, key)


def create(lab: LabContext) -> Step:
    """Create root and issuer where they are missing; existing ones are kept."""
    lab.folder.prepare()
    if not all(path.exists() for path in files(lab, "root")):
        certs.write_credential(certs.create_root(), *files(lab, "root"))
        for path in files(lab, "issuer"):  # an issuer of another root is worth nothing
            path.unlink(missing_ok=True)
    if not all(path.exists() for path in files(lab, "issuer")):
        issuer = certs.create_issuer(read(lab, "root"), valid_for=ISSUER_VALIDITY)
        certs.write_credential(issuer, *files(lab, "issuer"))
    rows = [_row(name, read(lab, name)) for name in ("root", "issuer")]
    return Step(
        "The trust anchor (root) and the identity issuer are in the lab's folder.",
        by_hand=SHELL,
        table=Table.of(rows),
        notes=(
            (
                "The root signs the issuer, and the issuer signs a certificate for every proxy. "
                "Because west and east get the same root, their proxies can trust each other."
            ),
        ),
    )


STEPS = (create,)


def undo(lab: LabContext) -> None:
    """Remove both certificates with their keys."""
    for name in ("issuer", "root"):
        for path in files(lab, name):
            path.unlink(missing_ok=True)


def _row(name: str, credential: certs.Credential) -> dict[str, object]:
    return {
        "certificate": name,
        "subject": credential.x509.subject.rfc4514_string(),
        "issued by": credential.x509.issuer.rfc4514_string(),
        "valid until (UTC)": f"{credential.not_after:%Y-%m-%d %H:%M}",
        "SHA-256": credential.fingerprint[:23] + "…",
    }


_ANEW = "labkit reset 02; labkit solve 02  # new certificates; Linkerd has to be installed anew"
_BROKEN_CHAIN = Reason("issuer {issuer} and root {root} do not belong together: {what}")
_EXPIRED = Reason("the issuer expired on {day}")
_ENDS_SOON = Reason("the issuer is valid for {days} more days only", status="warn")
_READABLE = Reason("{modes}; 0600 is right", fix="chmod 600 {paths}")


def _chain(lab: LabContext) -> Finding:
    root, issuer = read(lab, "root"), read(lab, "issuer")
    try:
        certs.verify_chain(issuer.certificate, root.certificate)
    except CertificateError as error:
        prints = {"issuer": f"{issuer.fingerprint[:11]}…", "root": f"{root.fingerprint[:11]}…"}
        return _BROKEN_CHAIN.seen(what=error.what, **prints)
    return passed(f"issuer {issuer.fingerprint[:11]}… is signed by root {root.fingerprint[:11]}…")


def _validity(lab: LabContext) -> Finding:
    issuer = read(lab, "issuer")
    left = issuer.not_after - datetime.now(UTC)
    if left < timedelta(0):
        return _EXPIRED.seen(day=f"{issuer.not_after:%Y-%m-%d}")
    if left < WARN_BEFORE:
        return _ENDS_SOON.seen(days=left.days)
    return passed(f"the issuer is valid for {left.days} more days")


def _private(lab: LabContext) -> Finding:
    modes = {}
    for name in ("root", "issuer"):
        _, key = files(lab, name)
        read(lab, name)
        modes[key] = stat.S_IMODE(key.stat().st_mode)
    text = ", ".join(f"{key.name} {mode:04o}" for key, mode in modes.items())
    open_to_others = [str(key) for key, mode in modes.items() if mode != PRIVATE]
    if open_to_others:
        return _READABLE.seen(modes=text, paths=shlex.join(open_to_others))
    return passed(text)


CHECKS = (
    Check(
        id="02.chain",
        title="the issuer chains to the root",
        clusters=CLUSTERS,
        proves="Linkerd's identity service refuses an issuer that the anchor did not sign",
        fix=_ANEW,
        look=_chain,
        reasons=(_BROKEN_CHAIN,),
    ),
    Check(
        id="02.validity",
        title="the issuer is valid for long enough",
        clusters=CLUSTERS,
        proves="an expired issuer stops every new proxy",
        fix=_ANEW,
        look=_validity,
        reasons=(_EXPIRED, _ENDS_SOON),
    ),
    Check(
        id="02.private",
        title="keys are readable by their owner only",
        clusters=CLUSTERS,
        proves="whoever reads the issuer's key can pretend to be any workload",
        fix="labkit solve 02",
        look=_private,
        reasons=(_READABLE,),
    ),
)
