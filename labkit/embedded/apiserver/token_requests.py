"""The token subresource of service accounts: new tokens, of which nothing is stored."""

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import preparing, responses, status
from labkit.embedded.apiserver.backend import Backend, now
from labkit.embedded.apiserver.reading import find
from labkit.embedded.apiserver.requests import Call, part
from labkit.embedded.apiserver.tokens import ISSUER

_LONGEST_S = 2**32
_SHORTEST_S = 600
_DEFAULT_S = 3600
_BOUND_KINDS = {"Pod": ("pod", "pods"), "Secret": ("secret", "secrets"), "Node": ("node", "nodes")}


async def request_token(backend: Backend, call: Call) -> web.Response:
    """POST of serviceaccounts/NAME/token: a new token, nothing is stored."""
    preparing.check_options(call)
    obj = preparing.typed(
        backend,
        await preparing.read_object(call),
        "authentication.k8s.io",
        "v1",
        "TokenRequest",
    )
    _same_account(call, part(obj, "metadata"))
    account = find(backend, call).obj
    spec: dict[str, Any] = part(obj, "spec")
    seconds = spec.get("expirationSeconds") or _DEFAULT_S
    if not isinstance(seconds, int) or not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise _invalid_seconds(seconds)
    audiences = spec.get("audiences") or [ISSUER]
    reference = spec.get("boundObjectRef")
    token, expiry = backend.accounts.issue(
        account,
        audiences=audiences,
        lifetime_s=seconds,
        bound=_bound(backend, call, reference) if reference else None,
    )
    metadata = account["metadata"]
    answer = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "creationTimestamp": now(),
        },
        "spec": {
            "audiences": audiences,
            "expirationSeconds": seconds,
            "boundObjectRef": reference,
        },
        "status": {
            "token": token,
            "expirationTimestamp": datetime.fromtimestamp(expiry, UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
        },
    }
    return responses.document(answer, code=201, call=call)


def _same_account(call: Call, metadata: dict[str, Any]) -> None:
    for field, wanted in (("name", call.name), ("namespace", call.namespace)):
        given = metadata.get(field)
        if given and given != wanted:
            cause = {
                "reason": "FieldValueInvalid",
                "message": f"Invalid value: {json.dumps(given)}: must match the service account"
                f" {field} if specified",
                "field": f"metadata.{field}",
            }
            raise status.invalid("TokenRequest", call.name, [cause], "authentication.k8s.io")


def _invalid_seconds(seconds: Any) -> status.ApiError:
    short = not isinstance(seconds, int) or seconds < _SHORTEST_S
    limit = "less than 10 minutes" if short else "larger than 2^32 seconds"
    cause = {
        "reason": "FieldValueInvalid",
        "message": f"Invalid value: {seconds}: may not specify a duration {limit}",
        "field": "spec.expirationSeconds",
    }
    return status.invalid("TokenRequest", "", [cause], "authentication.k8s.io")


def _bound(backend: Backend, call: Call, reference: Any) -> tuple[str, dict[str, Any]]:
    kind, name = reference.get("kind", ""), reference.get("name", "")
    if kind not in _BOUND_KINDS:
        raise status.bad_request(f"cannot bind token for serviceaccount to object type {kind}")
    field, storage = _BOUND_KINDS[kind]
    namespace = "" if kind == "Node" else call.namespace
    entry = backend.store.get(storage, namespace, name)
    if entry is None:
        raise status.not_found(storage, name)
    metadata: dict[str, Any] = entry.obj["metadata"]
    uid = reference.get("uid")
    if uid and uid != metadata["uid"]:
        raise status.conflict(
            storage,
            name,
            f"the UID in the bound object reference ({uid}) does not match the UID in record."
            " The object might have been deleted and then recreated",
        )
    return field, metadata
