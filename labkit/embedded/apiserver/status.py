"""The error bodies of the Kubernetes API: `Status` objects, worded as the real server words them.

Every refusal of the server is an `ApiError`; the dispatcher turns it into a response at one
place. Rules that decide whether something is refused live elsewhere.
"""

from collections.abc import Sequence
from typing import Any

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """A request is refused.

    Attributes:
        code: HTTP status.
        body: the Status object that the client gets.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
        }
        found = _REASONS.get(code, "") if reason is None else reason
        if found:
            self.body["reason"] = found
        if details is not None:
            self.body["details"] = details
        self.body["code"] = code


def _details(name: str, group: str, kind: str) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    return details


def qualified(plural: str, group: str) -> str:
    """The way the server names a resource or kind in messages: `deployments.apps`."""
    return f"{plural}.{group}" if group else plural


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, message)


def unauthorized() -> ApiError:
    """401: the credentials are not known here."""
    return ApiError(401, "Unauthorized")


def not_found(plural: str, name: str, group: str = "") -> ApiError:
    """404 of an object."""
    return ApiError(
        404, f'{qualified(plural, group)} "{name}" not found', details=_details(name, group, plural)
    )


def no_such_resource() -> ApiError:
    """404 of a path below a group version."""
    return ApiError(404, "the server could not find the requested resource", details={})


def method_not_allowed() -> ApiError:
    """405: the resource exists, but does not know this verb."""
    return ApiError(
        405, "the server does not allow this method on the requested resource", details={}
    )


def already_exists(plural: str, name: str, group: str = "", *, deleting: bool = False) -> ApiError:
    """409 of a create."""
    message = f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(
        409,
        f"object is being deleted: {message}" if deleting else message,
        reason="AlreadyExists",
        details=_details(name, group, plural),
    )


def conflict(plural: str, name: str, why: str, group: str = "") -> ApiError:
    """409 of an update or delete that lost a race."""
    return ApiError(
        409,
        f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}',
        details=_details(name, group, plural),
    )


def modified(plural: str, name: str, group: str = "") -> ApiError:
    """409 of an update based on an old resourceVersion."""
    why = (
        "the object has been modified; please apply your changes to the latest version"
        " and try again"
    )
    return conflict(plural, name, why, group)


def forbidden(plural: str, name: str, why: str, group: str = "") -> ApiError:
    """403: known who it is, but it may not."""
    subject = qualified(plural, group) + (f' "{name}"' if name else "")
    return ApiError(403, f"{subject} is forbidden: {why}", details=_details(name, group, plural))


def forbidden_path(why: str) -> ApiError:
    """403 of a path that is no resource."""
    return ApiError(403, f"forbidden: {why}", details={})


def invalid(kind: str, name: str, causes: Sequence[dict[str, Any]], group: str = "") -> ApiError:
    """422: the object breaks rules; every cause has reason, message and field."""
    lines: list[str] = []
    for cause in causes:
        line = f"{cause['field']}: {cause['message']}"
        if line not in lines:
            lines.append(line)
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    details = _details(name, group, kind) | {"causes": list(causes)}
    return ApiError(422, f'{qualified(kind, group)} "{name}" is invalid: {text}', details=details)


def invalid_options(kind: str, field: str, reason: str, message: str) -> ApiError:
    """422 of a query parameter (`ListOptions`, `PatchOptions`, …)."""
    cause = {"reason": reason, "message": message, "field": field}
    return invalid(kind, "", [cause], "meta.k8s.io")


def expired(message: str) -> ApiError:
    """410: that version is no longer in the history."""
    return ApiError(410, message)


def internal(message: str) -> ApiError:
    """500: the server, or a webhook it depends on, failed."""
    return ApiError(
        500,
        f"Internal error occurred: {message}",
        details={"causes": [{"message": message}]},
    )


def unsupported_media(accepted: str | None = None) -> ApiError:
    """415: the body is in a format that is not read here."""
    if accepted is None:
        return ApiError(415, "415: Unsupported Media Type", details={})
    return ApiError(
        415,
        "the body of the request was in an unknown format - accepted media types include: "
        + accepted,
    )


def not_acceptable() -> ApiError:
    """406: no format that the client accepts is written here."""
    return ApiError(
        406,
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml,"
        " application/vnd.kubernetes.protobuf, application/json;stream=watch,"
        " application/vnd.kubernetes.protobuf;stream=watch",
        details={},
    )


def not_convertible() -> ApiError:
    """406: the client wants an object as something that it cannot be shown as."""
    return ApiError(
        406,
        "only the following media types are accepted: application/json, application/yaml,"
        " application/vnd.kubernetes.protobuf",
    )


def other_shape(message: str) -> ApiError:
    """406: one object was asked for as a list, or a list as one object."""
    return ApiError(406, message)


def success(details: dict[str, Any]) -> dict[str, Any]:
    """The Status of a delete that is done."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
