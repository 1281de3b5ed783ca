"""Drill: somebody has linked east to west, instead of west to east."""

from typing import Any

from labkit.chapters.emojivoto import NAMESPACE as EMOJIVOTO
from labkit.chapters.mirror import MIRROR
from labkit.chapters.multicluster_link import NAMESPACE, find_link, link_api
from labkit.checks import Finding
from labkit.clients.manifests import Object, parse
from labkit.context import EAST, WEST, LabContext
from labkit.drills.drill import Before, Drill, Symptom
from labkit.drills.votes import proof
from labkit.errors import StateError

_DROPPED = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields",
            "ownerReferences", "finalizers")  # fmt: skip


def look(lab: LabContext) -> dict[str, Any]:
    """The right Link as it is, and names of what the wrong one will bring: no credential."""
    found = find_link(lab, WEST)
    if found is None:
        raise StateError("West has no Link to east", fix="`labkit solve 08`")
    metadata = {key: value for key, value in found["metadata"].items() if key not in _DROPPED}
    return {
        "link": {
            "apiVersion": link_api(lab, WEST),
            "kind": "Link",
            "metadata": metadata,
            "spec": found["spec"],
        },
        "brought": [_named(item) for item in _wrong(lab) if not _is_there(lab, item)],
    }


def _named(item: Object) -> Object:
    metadata = {key: item["metadata"].get(key) for key in ("name", "namespace")}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata}


def _is_there(lab: LabContext, item: Object) -> bool:
    metadata = item["metadata"]
    found = lab.kubernetes(EAST).get(
        item["apiVersion"], item["kind"], metadata["name"], metadata.get("namespace")
    )
    return found is not None


def _wrong(lab: LabContext) -> list[Object]:
    """What `linkerd multicluster link…` gives for the wrong direction."""
    address = lab.cloud.api_address(WEST)
    text = lab.linkerd(WEST).link(WEST, profile=lab.linkerd_profile, api_server_address=address)
    return list(parse(text))


def inject(lab: LabContext, before: Before) -> None:
    """Link east to west, and take the right Link away; its credentials stay."""
    lab.install(EAST, _wrong(lab))
    link = before["link"]
    name = link["metadata"]["name"]
    lab.kubernetes(WEST).delete(link["apiVersion"], "Link", name, NAMESPACE)


def no_gateway(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether west knows no gateway any more."""
    del before
    rows = [row.cluster_name for row in lab.linkerd(WEST).gateways()]
    return not rows, f"gateways of {', '.join(rows) or 'nobody'}"


def links(lab: LabContext, before: Before) -> tuple[bool, str]:
    """Whether the only Link is in east."""
    del before
    seen = {
        cluster: [
            item["metadata"]["name"]
            for item in lab.kubernetes(cluster).list(link_api(lab, cluster), "Link", NAMESPACE)
        ]
        for cluster in (WEST, EAST)
    }
    text = "; ".join(f"{name}: {', '.join(found) or 'none'}" for name, found in seen.items())
    return not seen[WEST] and bool(seen[EAST]), text


def verify(lab: LabContext, before: Before) -> Finding:
    """One Link, from west to east, a living probe, a mirror, and votes that arrive."""
    del before
    return proof(lab, "04.direction", "04.probe", "06.endpoints")


def heal(lab: LabContext, before: Before) -> None:
    """Put the right Link back, and remove the wrong one with what came with it."""
    if find_link(lab, WEST) is None:
        lab.install(WEST, [before["link"]])
    lab.kubernetes(EAST).delete_all(before["brought"])


DRILL = Drill(
    name="link-direction",
    title="east was linked to west, instead of west to east",
    task="Somebody has linked the clusters anew. West does not see east's gateway any more. "
    "Find out what is wrong with the way they are linked, and mend it.",
    breaks=f"the Link {EAST} of {WEST} is gone; {EAST} has a Link {WEST}, made by the same command "
    "with the contexts changed over.",
    symptoms=(
        Symptom(
            where=f"linkerd --context {WEST} multicluster gateways",
            what="no row",
            look=no_gateway,
            within_s=90.0,
        ),
        Symptom(
            where="for c in west east; do kubectl --context $c -n linkerd-multicluster get links; "
            "done",
            what="the only Link is in east",
            look=links,
        ),
    ),
    hints=(
        (
            f"Mirrors follow a Link, and {MIRROR} in {WEST}/{EMOJIVOTO} is no different. Which "
            "cluster has one now?"
        ),
        (
            "A Link belongs into the cluster that sends, and is rendered in the context of the one "
            "that serves (chapter 04). Compare both clusters: kubectl get links -A."
        ),
        (
            f"kubectl --context {EAST} -n {NAMESPACE} delete links --all; linkerd --context {EAST} "
            f"multicluster link-gen --cluster-name {EAST} | kubectl --context {WEST} apply -f -"
        ),
    ),
    look=look,
    inject=inject,
    verify=verify,
    heal=heal,
)
