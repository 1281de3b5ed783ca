"""What stands in a printed cell: functions from an object and the time to text or number.

The columns that they fill are in `columns`.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from labkit.embedded.apiserver.rules.ages import UNKNOWN, age, human_duration, parse_time
from labkit.embedded.apiserver.rules.podstatus import summarise
from labkit.embedded.apiserver.rules.selectors import format_selector

Object = Mapping[str, Any]


Cell = Callable[[Object, dt.datetime], Any]


NONE = "<none>"


def get(obj: Any, path: str, default: Any = None) -> Any:
    """Returns the value at `a.b.c`, or the default when it is absent or null."""
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, Mapping) else None
    return default if obj is None else obj


def value(path: str, default: Any = "") -> Cell:
    """A cell that shows a field."""
    return lambda obj, _: get(obj, path, default)


def count(*paths: str) -> Cell:
    """A cell that counts the elements of fields."""
    return lambda obj, _: sum(len(get(obj, path, ())) for path in paths)


def since(path: str, default: str = UNKNOWN) -> Cell:
    """A cell that shows how long ago a time was."""
    return lambda obj, now: age(get(obj, path), now) if get(obj, path) else default


def listed(items: Iterable[str], limit: int, empty: str = "") -> str:
    """Joins texts by commas; more than `limit` are counted only."""
    texts = list(items)
    shown = ",".join(texts[:limit])
    if len(texts) > limit:
        return f"{shown} + {len(texts) - limit} more..."
    return shown or empty


def labels(path: str) -> Cell:
    """A cell that shows a plain map as `a=b,c=d`."""

    def cell(obj: Object, _: dt.datetime) -> str:
        pairs = get(obj, path, {})
        return ",".join(f"{key}={pairs[key]}" for key in sorted(pairs)) or NONE

    return cell


def selector(path: str) -> Cell:
    """A cell that shows a LabelSelector."""
    return lambda obj, _: format_selector(get(obj, path, {}))


def each_container(field: str, path: str = "spec.template.spec") -> Cell:
    """A cell that lists a field of all containers of a template."""
    return lambda obj, _: ",".join(c.get(field, "") for c in get(obj, f"{path}.containers", ()))


def ratio(done: str, wanted: str) -> Cell:
    """A cell `done/wanted`."""
    return lambda obj, _: f"{get(obj, done, 0)}/{get(obj, wanted, 0)}"


def pod(part: str) -> Cell:
    """A cell of a pod's summary: `ready`, `status` or `restarts`."""
    return lambda obj, now: getattr(summarise(obj, now), part)


def gates(pod: Object, _: dt.datetime) -> str:
    """Readiness gates that are true, of all."""
    gates = [gate["conditionType"] for gate in get(pod, "spec.readinessGates", ())]
    true = {c["type"] for c in get(pod, "status.conditions", ()) if c.get("status") == "True"}
    return f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else NONE


def external_ip(service: Object, _: dt.datetime) -> str:
    """Where a service can be reached from outside; `<pending>` without an address."""
    kind = get(service, "spec.type")
    external = list(get(service, "spec.externalIPs", ()))
    if kind == "ExternalName":
        return str(get(service, "spec.externalName", ""))
    if kind == "LoadBalancer":
        given = [addresses(service)] if addresses(service) else []
        return ",".join([*given, *external]) or "<pending>"
    return ",".join(external) or NONE


def addresses(obj: Object) -> str:
    """Addresses of a load balancer in the status."""
    ingress = get(obj, "status.loadBalancer.ingress", ())
    return ",".join(sorted({i.get("ip") or i.get("hostname") or "" for i in ingress} - {""}))


def service_ports(service: Object, _: dt.datetime) -> str:
    """`port[:nodePort]/protocol` of each port."""
    texts = []
    for port in get(service, "spec.ports", ()):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(texts) or NONE


def cluster_ip(service: Object, _: dt.datetime) -> str:
    """The first cluster address; `None` for headless services."""
    addresses = get(service, "spec.clusterIPs", ())
    return str(addresses[0] if addresses else get(service, "spec.clusterIP", NONE) or NONE)


def endpoints(endpoints: Object, _: dt.datetime) -> str:
    """`ip:port` of the ready addresses, three at most."""
    if not endpoints.get("subsets"):
        return NONE
    texts: list[str] = []
    for subset in endpoints["subsets"]:
        ips = [a["ip"] for a in subset.get("addresses") or ()]
        texts.extend(ips if not subset.get("ports") else ())
        for port in subset.get("ports") or ():
            texts.extend(
                f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}" for ip in ips
            )
    return listed(texts, 3)


def slice_ports(piece: Object, _: dt.datetime) -> str:
    """Ports of an EndpointSlice."""
    ports = piece.get("ports") or ()
    return listed((str(p.get("port") or p.get("name") or "*") for p in ports), 3, "<unset>")


def slice_endpoints(piece: Object, _: dt.datetime) -> str:
    """Addresses of an EndpointSlice, ready or not."""
    endpoints = piece.get("endpoints") or ()
    return listed((a for e in endpoints for a in e.get("addresses") or ()), 3, "<unset>")


def node_status(node: Object, _: dt.datetime) -> str:
    """Ready or not, and whether pods may be scheduled."""
    ready = [
        c.get("status") for c in get(node, "status.conditions", ()) if c.get("type") == "Ready"
    ]
    texts = ["Unknown" if not ready else "Ready" if ready[0] == "True" else "NotReady"]
    if get(node, "spec.unschedulable"):
        texts.append("SchedulingDisabled")
    return ",".join(texts)


def node_roles(node: Object, _: dt.datetime) -> str:
    """Roles from the node's labels."""
    roles = set()
    for key, text in get(node, "metadata.labels", {}).items():
        if key.startswith("node-role.kubernetes.io/"):
            roles.add(key.partition("/")[2])
        elif key == "kubernetes.io/role" and text:
            roles.add(text)
    return ",".join(sorted(roles - {""})) or NONE


def node_address(kind: str) -> Cell:
    """A cell of the node's first address of a kind."""

    def cell(node: Object, _: dt.datetime) -> str:
        found = [a["address"] for a in get(node, "status.addresses", ()) if a.get("type") == kind]
        return found[0] if found else NONE

    return cell


def kernel(node: Object, _: dt.datetime) -> str:
    """Kernel and architecture."""
    info = get(node, "status.nodeInfo", {})
    kernel, architecture = info.get("kernelVersion"), info.get("architecture")
    return f"{kernel} ({architecture})" if kernel and architecture else kernel or UNKNOWN


def event(*names: str) -> Cell:
    """A cell of an event in either API group: the first field that is set."""

    def cell(event: Object, _: dt.datetime) -> Any:
        return next((found for name in names if (found := get(event, name))), "")

    return cell


def event_first(event: Object, now: dt.datetime) -> str:
    """Since when an event is known."""
    names = ("firstTimestamp", "deprecatedFirstTimestamp", "eventTime")
    return age(next((event[name] for name in names if event.get(name)), None), now)


def event_last(event: Object, now: dt.datetime) -> str:
    """When an event was seen last."""
    names = ("series.lastObservedTime", "lastTimestamp", "deprecatedLastTimestamp")
    found = next((time for name in names if (time := get(event, name))), None)
    return age(found, now) if found else event_first(event, now)


def event_object(event: Object, _: dt.datetime) -> str:
    """`kind/name` of what an event is about."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    kind = str(about.get("kind", "")).lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def event_source(event: Object, _: dt.datetime) -> str:
    """Component and host that reported an event."""
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent")
    component = component or event.get("reportingController") or ""
    host = source.get("host") or event.get("reportingInstance")
    return f"{component}, {host}" if host else component


def event_count(event: Object, _: dt.datetime) -> int:
    """How often an event was seen."""
    return int(
        get(event, "series.count") or event.get("count") or event.get("deprecatedCount") or 1
    )


def event_message(event: Object, _: dt.datetime) -> str:
    """The message without surrounding blanks."""
    return str(event.get("message") or event.get("note") or "").strip()


def job_status(job: Object, _: dt.datetime) -> str:
    """Complete, Failed, Suspended, Running and so on."""
    true = {c["type"] for c in get(job, "status.conditions", ()) if c.get("status") == "True"}
    for kind in ("Complete", "Failed"):
        if kind in true:
            return kind
    if get(job, "metadata.deletionTimestamp"):
        return "Terminating"
    later = ("Suspended", "FailureTarget", "SuccessCriteriaMet")
    return next((kind for kind in later if kind in true), "Running")


def job_completions(job: Object, _: dt.datetime) -> str:
    """Pods succeeded, of those wanted."""
    done, wanted = get(job, "status.succeeded", 0), get(job, "spec.completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallel = get(job, "spec.parallelism", 0)
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def job_duration(job: Object, now: dt.datetime) -> str:
    """How long a job took, or has been running."""
    start = parse_time(get(job, "status.startTime"))
    if start is None:
        return ""
    end = parse_time(get(job, "status.completionTime")) or now
    return human_duration((end - start).total_seconds())


def subjects(kind: str) -> Cell:
    """A cell of a binding's subjects of one kind."""

    def cell(binding: Object, _: dt.datetime) -> str:
        found = [s for s in binding.get("subjects") or () if s.get("kind") == kind]
        spaced = kind == "ServiceAccount"
        return ", ".join(
            f"{s.get('namespace', '')}/{s['name']}" if spaced else s["name"] for s in found
        )

    return cell


def ingress_hosts(ingress: Object, _: dt.datetime) -> str:
    """Hosts of the rules, `*` for any."""
    hosts = [rule["host"] for rule in get(ingress, "spec.rules", ()) if rule.get("host")]
    return listed(hosts, 3, "*")


def yes_no(path: str) -> Cell:
    """A cell that shows a boolean as Python and kubectl write it."""
    return lambda obj, _: {True: "True", False: "False"}.get(get(obj, path), "<unset>")


def available(service: Object, _: dt.datetime) -> str:
    """The condition Available and the reason when it is not true."""
    for condition in get(service, "status.conditions", ()):
        if condition.get("type") == "Available":
            reason = f" ({condition.get('reason')})" if condition.get("status") != "True" else ""
            return f"{condition.get('status')}{reason}"
    return "Unknown"


def api_service(service: Object, _: dt.datetime) -> str:
    """The service behind an APIService, or Local."""
    target = get(service, "spec.service")
    return f"{target.get('namespace')}/{target.get('name')}" if target else "Local"
