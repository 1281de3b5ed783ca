"""`kubectl --as`: a user who may impersonate acts as somebody else.

Name, groups, uid and extra fields are each allowed or refused by themselves, as in Kubernetes.
"""

from urllib.parse import unquote

from aiohttp import web

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.authorization import Attributes, Authorizer, require
from labkit.embedded.apiserver.users import User, with_authenticated

_ACCOUNT = "system:serviceaccount:"
_EXTRA = "impersonate-extra-"
_GROUP = "authentication.k8s.io"


def wanted(request: web.BaseRequest) -> bool:
    """Whether a request asks for another user at all."""
    return any(name.lower().startswith("impersonate-") for name in request.headers)


def effective_user(user: User, request: web.BaseRequest, authorizer: Authorizer) -> User:
    """The user that the Impersonate headers name; 400 when they name none, 403."""
    name = request.headers.get("Impersonate-User", "")
    groups = tuple(request.headers.getall("Impersonate-Group", []))
    uid = request.headers.get("Impersonate-Uid", "")
    extra = _extra(request)
    if not name:
        if groups or uid or extra:
            raise status.bad_request(
                f"requested {_listed(groups, uid, extra)} without impersonating a user"
            )
        return user
    targets = [_target(name)]
    targets += [Attributes(verb="impersonate", resource="groups", name=group) for group in groups]
    if uid:
        targets.append(Attributes("impersonate", _GROUP, "uids", name=uid))
    targets += [
        Attributes("impersonate", _GROUP, "userextras", key, name=value)
        for key, values in extra.items()
        for value in values
    ]
    for attributes in targets:
        require(authorizer, user, attributes)
    if name.startswith(_ACCOUNT) and not groups:
        namespace = name.removeprefix(_ACCOUNT).partition(":")[0]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    if name == "system:anonymous":
        return User(name, groups or ("system:unauthenticated",), uid, extra)
    return with_authenticated(User(name, groups, uid, extra))


def _extra(request: web.BaseRequest) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        if name.lower().startswith(_EXTRA):
            found.setdefault(unquote(name[len(_EXTRA) :].lower()), []).append(value)
    return found


def _listed(groups: tuple[str, ...], uid: str, extra: dict[str, list[str]]) -> str:
    parts = {"groups": groups, "uid": uid, "extra fields": extra}
    return " and ".join(name for name, value in parts.items() if value)


def _target(name: str) -> Attributes:
    if name.startswith(_ACCOUNT):
        namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
        return Attributes(
            verb="impersonate", resource="serviceaccounts", namespace=namespace, name=account
        )
    return Attributes(verb="impersonate", resource="users", name=name)
