"""Questions about users: TokenReview, the access reviews, SelfSubjectReview.

Answered, never stored.
"""

import dataclasses
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import objects, preparing, responses, status, strategies
from labkit.embedded.apiserver.authorization import Attributes
from labkit.embedded.apiserver.backend import Backend, now
from labkit.embedded.apiserver.requests import Call, part
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.store import Object
from labkit.embedded.apiserver.tokens import ISSUER, InvalidToken
from labkit.embedded.apiserver.users import User, account_user

_ACCESS = {"selfsubjectaccessreviews", "subjectaccessreviews", "localsubjectaccessreviews"}
RESOURCES = _ACCESS | {"tokenreviews", "selfsubjectreviews", "selfsubjectrulesreviews"}


async def review(backend: Backend, call: Call) -> web.Response:
    """POST of any review."""
    obj = await preparing.read_object(call)
    strategies.set_type(obj, call)
    obj = preparing.clean(backend, call, obj)
    spec: Object = part(obj, "spec")
    if call.plural == "tokenreviews":
        obj["status"] = _token_status(backend, spec)
    elif call.plural == "selfsubjectreviews":
        obj["metadata"]["creationTimestamp"] = now()
        obj["status"] = {"userInfo": call.user.info()}
    elif call.plural == "selfsubjectrulesreviews":
        obj["status"] = _rules_status(backend, call.user, spec)
    else:
        obj["status"] = _access_status(backend, call, obj)
    return responses.document(objects.ordered(obj), code=201, call=call)


def _token_status(backend: Backend, spec: Object) -> Object:
    token = str(spec.get("token") or "")
    if not token:
        raise status.bad_request("token is required for TokenReview in authentication")
    wanted = spec.get("audiences") or [ISSUER]
    try:
        claims = backend.accounts.verify(token, wanted)
    except InvalidToken as error:
        return _static_status(backend, token, str(error))
    agreed = [audience for audience in wanted if audience in claims["aud"]]
    user = account_user(claims).info()
    return {"authenticated": True, "user": user, "audiences": agreed}


def _static_status(backend: Backend, token: str, problem: str) -> Object:
    try:
        user = backend.authenticator.token_user(token)
    except status.ApiError:
        is_ours = token.count(".") == 2  # only what may be a token of an account is looked into
        return {
            "user": {},
            "error": f"[invalid bearer token, {problem}]" if is_ours else "invalid bearer token",
        }
    return {"authenticated": True, "user": user.info(), "audiences": [ISSUER]}


def _access_status(backend: Backend, call: Call, obj: Object) -> Object:
    spec = part(obj, "spec")
    problems = _problems(call, obj, spec)
    if problems:
        causes = [dataclasses.asdict(cause) for cause in problems]
        raise status.invalid("", "", causes, "authorization.k8s.io")
    user = call.user
    if call.plural != "selfsubjectaccessreviews":
        user = User(
            str(spec.get("user") or ""), tuple(spec.get("groups") or ()), str(spec.get("uid") or "")
        )
    allowed, reason = backend.authorizer.authorize(user, _attributes(spec))
    found: dict[str, Any] = {"allowed": allowed}
    if reason:
        found["reason"] = reason
    return found


def _problems(call: Call, obj: Object, spec: Object) -> Problems:
    """What is wrong with a question: it is about one of two things, and names somebody."""
    found = Problems()
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        found.invalid("spec.nonResourceAttributes", _shape(path), detail)
    if resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        found.invalid("spec.resourceAttributes", None, detail)
    asks_itself = call.plural == "selfsubjectaccessreviews"
    if not asks_itself and not spec.get("user") and not spec.get("groups"):
        found.invalid("spec.user", "", "at least one of user or group must be specified")
    local = call.plural == "localsubjectaccessreviews"
    metadata = {
        key: value
        for key, value in obj["metadata"].items()
        if value and key != "managedFields" and not (local and key == "namespace")
    }
    if metadata:
        detail = "must be empty except for namespace" if local else "must be empty"
        found.invalid("metadata", metadata, detail)
    if local and resource is not None and resource.get("namespace", "") != call.namespace:
        field, given = "spec.resourceAttributes.namespace", resource.get("namespace", "")
        found.invalid(field, given, "must match metadata.namespace")
    if local and path is not None:
        field, detail = "spec.nonResourceAttributes", "disallowed on this kind of request"
        found.invalid(field, _shape(path), detail)
    return found


def _shape(path: Object) -> Object:
    """The attributes of a path, as the server's own type names them."""
    return {"Path": path.get("path", ""), "Verb": path.get("verb", "")}


def _attributes(spec: Object) -> Attributes:
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return Attributes(verb=str(path.get("verb", "")), path=str(path.get("path", "")))
    wanted: Object = spec["resourceAttributes"]
    return Attributes(
        verb=str(wanted.get("verb", "")),
        group=str(wanted.get("group", "")),
        resource=str(wanted.get("resource", "")),
        subresource=str(wanted.get("subresource", "")),
        namespace=str(wanted.get("namespace", "")),
        name=str(wanted.get("name", "")),
    )


def _rules_status(backend: Backend, user: User, spec: Object) -> Object:
    if not spec.get("namespace"):
        raise status.bad_request("no namespace on request")
    resources: list[Object] = []
    paths: list[Object] = []
    for rule, _ in backend.authorizer.rules(user, str(spec.get("namespace") or "")):
        if rule.get("nonResourceURLs"):
            found = {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}
            paths.append(found)
        else:
            names = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({name: rule[name] for name in names if rule.get(name)})
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
