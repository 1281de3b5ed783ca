"""What a request asks for: its target, verb and options, and the object in its body.

Only parsing. Whether the target exists, and whether the user may, is decided by the dispatcher.
"""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from labkit.embedded.apiserver import documents, status
from labkit.embedded.apiserver.authorization import Attributes
from labkit.embedded.apiserver.resources import Registry, Resource, Subresource
from labkit.embedded.apiserver.rules import selectors, wire
from labkit.embedded.apiserver.store import Entry, Object
from labkit.embedded.apiserver.users import ANONYMOUS, User

BODY_LIMIT = 3 * 2**20
"""Bytes of a request body, as in Kubernetes."""

_ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass
class Call:
    """One request for a resource.

    Attributes:
        rest: what follows `proxy/` in the path.
        warnings: texts that go back to the client as Warning headers.
        shown: the newest version that the answer tells of, when that is not the newest there is.
        conforms: the object in the body has known fields and fitting values only, and nobody but
            this server has changed it since.
        dry: what DeleteOptions say of `dry_run`, wherever they stand; None: the query says it.
        stored: the object as it is stored now, when a handler has seen it: its JSON is there.
    """

    request: web.BaseRequest
    user: User = ANONYMOUS
    verb: str = ""
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    resource: Resource = field(default=None, repr=False)  # type: ignore[assignment]
    warnings: list[str] = field(default_factory=list)
    shown: int | None = None
    conforms: bool = False
    dry: bool | None = None
    stored: Entry | None = field(default=None, repr=False)

    @property
    def query(self) -> Any:
        """The query parameters."""
        return self.request.query

    @property
    def sub(self) -> Subresource:
        """The subresource that is asked for; it exists."""
        return self.resource.subresources[self.subresource]

    @property
    def attributes(self) -> Attributes:
        """What the authorizer wants to know."""
        return Attributes(
            verb=self.verb,
            group=self.group,
            resource=self.plural,
            subresource=self.subresource,
            namespace=self.namespace,
            name=self.name or self._selected_name,
        )

    @property
    def _selected_name(self) -> str:
        """The one name that a list, watch or deletecollection selects by `metadata.name=`.

        A role with resourceNames allows such a request, as in Kubernetes.
        """
        text = self.request.query.get("fieldSelector", "")
        if self.verb not in ("list", "watch", "deletecollection") or "metadata.name" not in text:
            return ""
        try:
            return selectors.exact_value(text, "metadata.name")
        except selectors.SelectorError:
            return ""  # the list itself will say what is wrong

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored."""
        return bool(self.request.query.getall("dryRun", [])) if self.dry is None else self.dry

    @property
    def manager(self) -> str:
        """The field manager: the parameter, or the first word of the user agent."""
        given = self.request.query.get("fieldManager", "")
        agent = self.request.headers.get("User-Agent", "unknown")
        return str(given or agent.split("/")[0].split(" ")[0])[:128]

    def flag(self, name: str) -> bool:
        """A boolean parameter: present and not false."""
        return _is_set(self.request.query, name)

    def not_found(self) -> status.ApiError:
        """404 of the object in the path."""
        return status.not_found(self.plural, self.name, self.group)


def parse(request: web.BaseRequest) -> Call | None:
    """The resource request that a path and method mean; None for any other path."""
    parts = request.path.split("/")[1:]
    if parts and parts[-1] == "" and "proxy" not in parts:
        parts.pop()
    if len(parts) >= 3 and parts[0] == "api":
        call, parts = Call(request, version=parts[1]), parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        call, parts = Call(request, group=parts[1], version=parts[2]), parts[3:]
    else:
        return None
    watch = parts[0] == "watch"
    if watch:
        parts = parts[1:]
    if len(parts) > 2 and parts[0] == "namespaces" and parts[2] not in ("finalize", "status"):
        call.namespace, parts = parts[1], parts[2:]
    elif len(parts) >= 2 and parts[0] == "namespaces":
        call.namespace = parts[1]
    if not parts:
        return None
    call.plural = parts[0]
    call.name = parts[1] if len(parts) > 1 else ""
    call.subresource = parts[2] if len(parts) > 2 else ""
    call.rest = "/".join(parts[3:])
    call.verb = _verb(request, call.name, watch=watch)
    return call


def _is_set(query: Any, name: str) -> bool:
    """Whether a boolean parameter holds: anything but false and 0 does, even nothing."""
    value = query.get(name)
    return value is not None and value.lower() not in ("false", "0")


def _verb(request: web.BaseRequest, name: str, *, watch: bool) -> str:
    method = request.method
    if method in ("GET", "HEAD"):
        if method == "GET" and (watch or (not name and _is_set(request.query, "watch"))):
            return "watch"
        return "get" if name else "list"
    if method == "DELETE" and not name:
        return "deletecollection"
    return _VERBS.get(method, method.lower())


def resolve(call: Call, registry: Registry) -> None:
    """Find the resource of a call; 404 or 405 when there is none or it cannot do that."""
    resource = registry.find(call.group, call.version, call.plural)
    if resource is None or (
        call.namespace and not resource.namespaced and call.plural != "namespaces"
    ):
        raise status.no_such_resource()
    call.resource = resource
    if call.subresource:
        sub = resource.subresources.get(call.subresource)
        if sub is None and resource.crd is not None:
            raise call.not_found()
        if sub is None or (call.rest and call.subresource != "proxy"):
            raise status.no_such_resource()
        if call.subresource == "proxy" or call.verb in sub.verbs:
            return
        if call.verb == "watch" and "get" in sub.verbs:
            call.verb = "get"
            return
        raise status.method_not_allowed()
    needs_namespace = resource.namespaced and not call.namespace
    if needs_namespace and (call.name or call.verb in ("create", "deletecollection")):
        raise status.no_such_resource() if call.name else status.method_not_allowed()
    misplaced = bool(call.name) == (call.verb in ("create", "deletecollection"))
    if misplaced and call.verb not in ("list", "watch"):
        raise status.method_not_allowed()
    if call.verb in ("update", "patch") and not call.name:
        raise status.method_not_allowed()
    if call.verb not in resource.verbs:
        raise status.method_not_allowed()


async def read_body(request: web.BaseRequest) -> bytes:
    """The body; 413 when it is too large."""
    length = request.content_length
    if length is not None and length > BODY_LIMIT:
        raise status.ApiError(413, "Request entity too large: limit is 3145728")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise status.ApiError(413, "Request entity too large: limit is 3145728") from error
    except web.RequestPayloadError as error:
        raise status.bad_request(f"the body cannot be read: {error}") from error


async def decode(body: bytes, *, media_type: str, kind: str) -> Object:
    """The object of a body in JSON or YAML; 400 or 415 when it is not one."""
    if media_type in ("application/yaml", "application/x-yaml", "text/yaml"):
        return await parse_yaml(body, kind)
    if media_type == wire.MEDIA_TYPE:
        try:
            return wire.decode(body)
        except wire.WireError as error:
            raise status.bad_request(
                f"the object provided is unrecognized (must be of type {kind}): {error}"
            ) from error
    if media_type not in ("", "application/json", "application/octet-stream"):
        raise status.unsupported_media(_ACCEPTED)
    try:
        value = documents.from_json(body)
    except ValueError as error:
        problem = "unexpected end of JSON input" if "EOF" in str(error) else str(error)
        raise _unrecognized(kind, f"json parse error: {problem} ({_summary(body)})") from error
    return _mapping(value, kind)


async def parse_yaml(body: bytes, kind: str) -> Object:
    """The object of a YAML (or JSON) body, as apply patches send it; 400 when it is not one."""
    try:
        return _mapping(await documents.from_long_yaml(body), kind)
    except ValueError as error:
        raise _unrecognized(kind, f"yaml parse error: {error}") from error


def _summary(body: bytes) -> str:
    """The beginning of a body: as it is when it looks like JSON, in hexadecimal otherwise."""
    shown = body[:30].decode("utf-8", "replace") if body[:1] == b"{" else body[:30].hex()
    return shown + (" ..." if len(body) > 30 else "") or "<empty>"


def _unrecognized(kind: str, problem: str) -> status.ApiError:
    return status.bad_request(
        f"the object provided is unrecognized (must be of type {kind}):"
        f" couldn't get version/kind; {problem}"
    )


def part(obj: Object, name: str) -> Object:
    """A part of an object that must be a map (empty when absent); 400 otherwise."""
    value = obj.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise status.bad_request(
            f"json: cannot unmarshal {_go_type(value)} into Go struct field .{name} of type struct"
        )
    return value


def _mapping(value: Any, kind: str) -> Object:
    if not isinstance(value, dict):
        raise status.bad_request(
            f"the object provided is unrecognized (must be of type {kind}):"
            " couldn't get version/kind; json parse error: json: cannot unmarshal"
            f" {_go_type(value)} into Go value of type struct"
        )
    return value


def _go_type(value: Any) -> str:
    names = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    return names.get(type(value), "null")
