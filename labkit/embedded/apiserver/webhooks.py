"""Admission webhooks, for real: AdmissionReview v1 over HTTPS, by URL or through a Service.

A Service is followed to a ready pod and to the socket that the node wrote down for it
(`network.labkit.dev/sockets`); the certificate must be one for SERVICE.NAMESPACE.svc under the
configuration's caBundle.
"""

import base64
import binascii
import json
import logging
import ssl
import time
from collections.abc import Iterator
from typing import Any

import aiohttp

from labkit.embedded.apiserver import objects, status
from labkit.embedded.apiserver.backend import Backend, new_uid
from labkit.embedded.apiserver.endpoints import pod_socket_of_service
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.rules import patching, selectors
from labkit.embedded.apiserver.store import Object

logger = logging.getLogger(__name__)

MUTATING = "admissionregistration.k8s.io/mutatingwebhookconfigurations"
VALIDATING = "admissionregistration.k8s.io/validatingwebhookconfigurations"


class WebhookFailed(Exception):  # noqa: N818 - reads as what happened
    """A webhook could not be asked, or gave no usable answer."""


async def mutate(backend: Backend, call: Call, obj: Object, old: Object | None) -> Object:
    """The object after every mutating webhook that it concerns, in the order of their names."""
    for hook in _matching(backend, MUTATING, call, obj, old):
        answer = await _ask(backend, call, hook, obj, old)
        if answer is None:
            continue
        _refuse_unless_allowed(call, hook, answer)
        if answer.get("patch"):
            obj = _patched(hook, obj, answer)
    return obj


async def validate(backend: Backend, call: Call, obj: Object, old: Object | None) -> None:
    """403 (or what the webhook says) when a validating webhook refuses."""
    for hook in _matching(backend, VALIDATING, call, obj, old):
        answer = await _ask(backend, call, hook, obj, old)
        if answer is not None:
            _refuse_unless_allowed(call, hook, answer)


async def deleting(backend: Backend, call: Call, obj: Object) -> None:
    """Ask the webhooks that are concerned with deletions."""
    for storage in (MUTATING, VALIDATING):
        for hook in _matching(backend, storage, call, obj, obj, operation="DELETE"):
            answer = await _ask(backend, call, hook, None, obj)
            if answer is not None:
                _refuse_unless_allowed(call, hook, answer)


def _matching(
    backend: Backend,
    storage: str,
    call: Call,
    obj: Object,
    old: Object | None,
    *,
    operation: str = "",
) -> Iterator[Object]:
    if call.group == "admissionregistration.k8s.io":
        return
    wanted = operation or ("CREATE" if old is None else "UPDATE")
    for entry in backend.store.entries(storage):
        for hook in entry.obj.get("webhooks") or ():
            if (
                any(_rule_matches(rule, call, wanted) for rule in hook.get("rules") or ())
                and _namespace_matches(backend, hook, call)
                and _object_matches(hook, obj, old)
            ):
                yield hook


def _rule_matches(rule: Object, call: Call, operation: str) -> bool:
    def listed(field: str, value: str) -> bool:
        values = rule.get(field) or []
        return "*" in values or value in values

    full = f"{call.plural}/{call.subresource}" if call.subresource else call.plural
    resources = rule.get("resources") or []
    known = {full, "*/*"} | ({"*", f"{call.plural}/*"} if not call.subresource else set())
    if call.subresource:
        known |= {f"{call.plural}/*", f"*/{call.subresource}"}
    scope = rule.get("scope", "*")
    return (
        listed("operations", operation)
        and listed("apiGroups", call.group)
        and listed("apiVersions", call.version)
        and bool(known & set(resources))
        and scope in ("*", "Namespaced" if call.resource.namespaced else "Cluster")
    )


def _namespace_matches(backend: Backend, hook: Object, call: Call) -> bool:
    term = hook.get("namespaceSelector")
    if not term or not call.namespace:
        return True
    entry = backend.store.get("namespaces", "", call.namespace)
    labels = entry.obj["metadata"].get("labels") if entry is not None else {}
    return selectors.matches_labels(selectors.selector_from(term), labels)


def _object_matches(hook: Object, obj: Object, old: Object | None) -> bool:
    term = hook.get("objectSelector")
    if not term:
        return True
    chosen = selectors.selector_from(term)
    return any(
        selectors.matches_labels(chosen, (one["metadata"].get("labels") or {}))
        for one in (obj, old)
        if one is not None
    )


async def _ask(
    backend: Backend, call: Call, hook: Object, obj: Object | None, old: Object | None
) -> Object | None:
    """The response of a webhook; None when it failed and that is to be ignored."""
    review = _review(call, obj, old)
    started = time.monotonic()
    try:
        return await _post(backend, hook, review)
    except WebhookFailed as error:
        text = f'failed calling webhook "{hook["name"]}": {error}'
        logger.warning("%s (after %.1f s)", text, time.monotonic() - started)
        if hook.get("failurePolicy", "Fail") == "Ignore":
            return None
        raise status.internal(text) from error


def _review(call: Call, obj: Object | None, old: Object | None) -> Object:
    resource = call.resource
    kind = {"group": call.group, "version": call.version, "kind": resource.kind}
    target = {"group": call.group, "version": call.version, "resource": call.plural}
    operation = "DELETE" if obj is None else ("CREATE" if old is None else "UPDATE")
    shown = obj if obj is not None else old or {}
    request: Object = {
        "uid": new_uid(),
        "kind": kind,
        "resource": target,
        "requestKind": kind,
        "requestResource": target,
        "name": call.name or shown["metadata"].get("name", ""),
        "operation": operation,
        "userInfo": call.user.info(),
        "object": obj,
        "oldObject": old,
        "dryRun": call.dry_run,
        "options": None,
    }
    if call.namespace:
        request["namespace"] = call.namespace
    if call.subresource:
        request["subResource"] = call.subresource
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


async def _post(backend: Backend, hook: Object, review: Object) -> Object:
    """POST the review; the response part of the answer."""
    seconds = hook.get("timeoutSeconds", 10)
    config = hook["clientConfig"]
    url, shown, host = _address(backend, config, seconds)
    failure = f'failed to call webhook: Post "{shown}": '
    try:
        async with backend.http.post(
            url,
            data=json.dumps(review),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            ssl=_trust(config),
            server_hostname=host,
            timeout=aiohttp.ClientTimeout(total=seconds),
        ) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise WebhookFailed(
                    f"failed to call webhook: the server responded with status {answer.status}"
                )
    except TimeoutError as error:
        raise WebhookFailed(f"{failure}context deadline exceeded") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise WebhookFailed(f"{failure}tls: failed to verify certificate: {error}") from error
    except aiohttp.ClientConnectorError as error:
        address = f"{error.host}:{error.port}"
        raise WebhookFailed(f"{failure}dial tcp {address}: connect: connection refused") from error
    except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
        raise WebhookFailed(f"{failure}{error}") from error
    return _response_of(text, review["request"]["uid"])


def _response_of(text: str, uid: str) -> Object:
    try:
        value = json.loads(text)
        response: Object = value["response"]
        if response["uid"] != uid:
            raise WebhookFailed(f'expected response.uid="{uid}", got "{response["uid"]}"')
        response["allowed"] = bool(response["allowed"])
    except (ValueError, KeyError, TypeError) as error:
        raise WebhookFailed(f"received invalid webhook response: {error!r}") from error
    return response


def _address(backend: Backend, config: Object, seconds: int) -> tuple[str, str, str | None]:
    """Where to connect, how that is shown in messages, and the name in the certificate."""
    if config.get("url"):
        url = str(config["url"])
        joint = "&" if "?" in url else "?"
        return url, f"{url}{joint}timeout={seconds}s", None
    service = config.get("service") or {}
    name, namespace = service.get("name", ""), service.get("namespace", "")
    path, port = service.get("path") or "/", service.get("port", 443)
    host = f"{name}.{namespace}.svc"
    shown = f"https://{host}:{port}{path}?timeout={seconds}s"
    try:
        socket = pod_socket_of_service(backend, namespace, name, str(port))
    except LookupError as error:
        raise WebhookFailed(f'failed to call webhook: Post "{shown}": {error}') from error
    return f"https://{socket}{path}?timeout={seconds}s", shown, host


def _trust(config: Object) -> ssl.SSLContext:
    bundle = config.get("caBundle")
    if not bundle:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=base64.b64decode(bundle).decode("ascii"))
    except (ValueError, binascii.Error, ssl.SSLError) as error:
        raise WebhookFailed(
            f"failed to call webhook: unable to load root certificates: {error}"
        ) from error


def _refuse_unless_allowed(call: Call, hook: Object, answer: Object) -> None:
    call.warnings += [str(text) for text in answer.get("warnings") or ()]
    if answer["allowed"]:
        return
    why = answer.get("status") or {}
    code = int(why.get("code") or 403)
    message = why.get("message") or why.get("reason")
    text = f'admission webhook "{hook["name"]}" denied the request'
    text += f": {message}" if message else " without explanation"
    raise status.ApiError(code if code >= 400 else 403, text, reason=why.get("reason"))


def _patched(hook: Object, obj: Object, answer: Object) -> Object:
    name = hook["name"]
    try:
        operations: Any = json.loads(base64.b64decode(answer["patch"]))
        return patching.apply_json_patch(objects.thaw(obj), operations)
    except (ValueError, patching.PatchError) as error:
        text = f'failed calling webhook "{name}": received invalid patch: {error}'
        raise status.internal(text) from error
