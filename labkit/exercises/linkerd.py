"""Chapter 03: which identity signs those of the proxies, and until when."""

from base64 import b64decode

from cryptography import x509
from cryptography.x509.oid import NameOID

from labkit.chapters import trust_anchor
from labkit.chapters.linkerd import NAMESPACE
from labkit.checks import Check, Finding, Reason, passed
from labkit.context import WEST, LabContext
from labkit.exercises.answering import HINTS, NOT_ANSWERED, answer_of, words
from labkit.exercises.exercise import Exercise

ID = "03.exercise-identity"
_ROOT = Reason(
    "{name} is the trust anchor: it has signed the certificate that is asked for, and no proxy's"
)
_NAME = Reason("{name} signs no proxy of west; linkerd-identity signs with another certificate")
_DAY = Reason("{name} is right; it does not expire on {day}")


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _look(lab: LabContext) -> Finding:
    answer = words(answer_of(lab, ID), "name", "expires")
    if answer is None:
        return NOT_ANSWERED.seen()
    name, day = answer[0].removeprefix("CN="), answer[1]
    secret = lab.kubernetes(WEST).require("v1", "Secret", "linkerd-identity-issuer", NAMESPACE)
    data = secret["data"]
    issuer = x509.load_pem_x509_certificate(b64decode(data.get("crt.pem") or data["tls.crt"]))
    root = x509.load_pem_x509_certificate(trust_anchor.files(lab, "root")[0].read_bytes())
    if name != _common_name(issuer):
        return (_ROOT if name == _common_name(root) else _NAME).seen(name=name)
    if day != f"{issuer.not_valid_after_utc:%Y-%m-%d}":
        return _DAY.seen(name=name, day=day)
    return passed(f"{name} signs the identities of west's proxies until {day}")


EXERCISES = (
    Exercise(
        Check(
            id=ID,
            title="you know which identity signs, and when it ends",
            clusters=(WEST,),
            proves="an expired issuer is the outage that every mesh has once",
            fix=HINTS,
            look=_look,
            reasons=(NOT_ANSWERED, _ROOT, _NAME, _DAY),
        )
    ),
)
