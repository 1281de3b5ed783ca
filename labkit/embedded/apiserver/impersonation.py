"""`kubectl --as`: a user who may impersonate acts as somebody else."""

from aiohttp import web

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.authorization import Attributes, Authorizer, require
from labkit.embedded.apiserver.users import User, with_authenticated

_ACCOUNT = "system:serviceaccount:"


def effective_user(user: User, request: web.BaseRequest, authorizer: Authorizer) -> User:
    """The user that the Impersonate headers name, or the user itself without them; 403."""
    name = request.headers.get("Impersonate-User", "")
    groups = tuple(request.headers.getall("Impersonate-Group", []))
    if not name:
        if groups:
            raise status.bad_request("requested groups without impersonating a user")
        return user
    wanted = [_target(name)]
    wanted += [Attributes(verb="impersonate", resource="groups", name=group) for group in groups]
    for attributes in wanted:
        require(authorizer, user, attributes)
    if name.startswith(_ACCOUNT) and not groups:
        namespace = name.removeprefix(_ACCOUNT).partition(":")[0]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    if name == "system:anonymous":
        return User(name, groups or ("system:unauthenticated",))
    return with_authenticated(User(name, groups))


def _target(name: str) -> Attributes:
    if name.startswith(_ACCOUNT):
        namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
        return Attributes(
            verb="impersonate", resource="serviceaccounts", namespace=namespace, name=account
        )
    return Attributes(verb="impersonate", resource="users", name=name)
