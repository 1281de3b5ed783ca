"""Questions about users: TokenReview, the access reviews, SelfSubjectReview.

Answered, never stored.
"""

import json
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import objects, preparing, responses, status, strategies
from labkit.embedded.apiserver.authorization import Attributes
from labkit.embedded.apiserver.backend import Backend, now
from labkit.embedded.apiserver.requests import Call, part
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
        obj["status"] = _access_status(backend, call, spec)
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


def _access_status(backend: Backend, call: Call, spec: Object) -> Object:
    user = call.user if call.plural == "selfsubjectaccessreviews" else _named_user(spec)
    attributes = _attributes(spec, call)
    allowed, reason = backend.authorizer.authorize(user, attributes)
    found: dict[str, Any] = {"allowed": allowed}
    if reason:
        found["reason"] = reason
    return found


def _invalid(field: str, message: str) -> status.ApiError:
    cause = {"reason": "FieldValueInvalid", "message": message, "field": field}
    return status.invalid("", "", [cause], "authorization.k8s.io")


def _named_user(spec: Object) -> User:
    name, groups = str(spec.get("user") or ""), tuple(spec.get("groups") or ())
    if not name and not groups:
        raise _invalid(
            "spec.user", 'Invalid value: "": at least one of user or group must be specified'
        )
    return User(name, groups, str(spec.get("uid") or ""))


def _attributes(spec: Object, call: Call) -> Attributes:
    wanted: Object = spec.get("resourceAttributes") or {}
    path: Object = spec.get("nonResourceAttributes") or {}
    if wanted and path:
        shape = json.dumps({"Path": path.get("path", ""), "Verb": path.get("verb", "")})
        raise _invalid(
            "spec.nonResourceAttributes",
            f"Invalid value: {shape.replace(': ', ':').replace(', ', ',')}: cannot be specified in"
            " combination with resourceAttributes",
        )
    if not wanted and not path:
        raise _invalid(
            "spec.resourceAttributes",
            "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must"
            " be specified",
        )
    if path:
        return Attributes(verb=str(path.get("verb", "")), path=str(path.get("path", "")))
    namespace = str(wanted.get("namespace", ""))
    if call.plural == "localsubjectaccessreviews" and namespace != call.namespace:
        raise _invalid(
            "spec.resourceAttributes.namespace",
            f'Invalid value: "{namespace}": must match metadata.namespace',
        )
    return Attributes(
        verb=str(wanted.get("verb", "")),
        group=str(wanted.get("group", "")),
        resource=str(wanted.get("resource", "")),
        subresource=str(wanted.get("subresource", "")),
        namespace=namespace,
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
