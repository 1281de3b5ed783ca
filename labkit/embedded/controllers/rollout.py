"""The arithmetic of a rollout: how many pods may be there, must be there, and where. Pure.

Everything is computed from the Deployment and its ReplicaSets as the API shows them; the
controller in `deployments` carries it out.
"""

import copy
import json
from collections.abc import Sequence

from labkit.embedded.controllers import objects
from labkit.embedded.kube import Object

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = frozenset(
    {
        REVISION,
        REVISION_HISTORY,
        DESIRED,
        MAXIMUM,
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
    }
)


def replicas_of(item: Object) -> int:
    """`spec.replicas`."""
    return int(item["spec"].get("replicas", 1))


def total(sets: Sequence[Object]) -> int:
    """The replicas that these sets ask for."""
    return sum(replicas_of(item) for item in sets)


def status_total(sets: Sequence[Object], field: str) -> int:
    """The sum of a count in the status of these sets."""
    return sum(int(item.get("status", {}).get(field) or 0) for item in sets)


def is_rolling(deployment: Object) -> bool:
    """Whether the strategy is RollingUpdate (else Recreate)."""
    strategy = deployment["spec"].get("strategy") or {}
    return str(strategy.get("type", "RollingUpdate")) == "RollingUpdate"


def limits(deployment: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) as numbers; never both zero."""
    if not is_rolling(deployment):
        return 0, 0
    rolling = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
    wanted = replicas_of(deployment)
    surge = objects.resolve_amount(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = objects.resolve_amount(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, wanted)


def revision_of(replica_set: Object) -> int:
    """The revision annotation, 0 without one."""
    try:
        return int(objects.annotations_of(replica_set).get(REVISION, "0"))
    except ValueError:
        return 0


def _without_hash(template: Object) -> Object:
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    metadata["labels"] = labels
    return {**template, "metadata": {k: v for k, v in metadata.items() if v}}


def template_hash(deployment: Object) -> str:
    """The pod-template-hash of the present template."""
    template = _without_hash(deployment["spec"]["template"])
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    collisions = deployment.get("status", {}).get("collisionCount")
    return objects.safe_hash(text + (str(collisions) if collisions else ""))


def has_template(replica_set: Object, deployment: Object) -> bool:
    """Whether the set was made from the deployment's present template."""
    mine = _without_hash(replica_set["spec"]["template"])
    return mine == _without_hash(deployment["spec"]["template"])


def find_new(deployment: Object, sets: Sequence[Object]) -> Object | None:
    """The set of the present template; the oldest when there are several."""
    same = [item for item in sets if has_template(item, deployment)]
    return min(same, key=creation_order, default=None)


def creation_order(item: Object) -> tuple[str, str]:
    """Sort key: oldest first."""
    return item["metadata"].get("creationTimestamp") or "", item["metadata"]["name"]


def set_annotations(deployment: Object, replica_set: Object | None, revision: int) -> Object:
    """The annotations of the new set: the deployment's own, revision, and replica counts."""
    copied = {
        key: value
        for key, value in objects.annotations_of(deployment).items()
        if key not in _NOT_COPIED
    }
    known = objects.annotations_of(replica_set) if replica_set else {}
    wanted = {**known, **copied, REVISION: str(revision)}
    before = known.get(REVISION)
    if before and before != str(revision):
        history = [known[REVISION_HISTORY]] if known.get(REVISION_HISTORY) else []
        wanted[REVISION_HISTORY] = ",".join([*history, before])
    return {**wanted, **count_annotations(deployment)}


def count_annotations(deployment: Object) -> dict[str, str]:
    """What a set remembers of the deployment's size."""
    surge, _ = limits(deployment)
    wanted = replicas_of(deployment)
    return {DESIRED: str(wanted), MAXIMUM: str(wanted + surge)}


def new_set(deployment: Object, *, replicas: int, revision: int) -> Object:
    """The ReplicaSet for the present template."""
    digest = template_hash(deployment)
    template = copy.deepcopy(deployment["spec"]["template"])
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH_LABEL: digest}
    selector = copy.deepcopy(deployment["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    spec = {"replicas": replicas, "selector": selector, "template": template}
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{digest}",
            "namespace": deployment["metadata"]["namespace"],
            "labels": metadata["labels"],
            "annotations": set_annotations(deployment, None, revision),
            "ownerReferences": [
                objects.reference_to(deployment, api_version="apps/v1", kind="Deployment")
            ],
        },
        "spec": spec,
    }


def new_set_size(deployment: Object, sets: Sequence[Object], size: int) -> int:
    """How large the new set may be now.

    Args:
        deployment: the deployment.
        sets: all its sets, the new one included when it exists.
        size: what the new one asks for at present.
    """
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return wanted
    surge, _ = limits(deployment)
    room = wanted + surge - total(sets)
    if room <= 0:
        return size
    return size + min(room, wanted - size)


def old_set_sizes(deployment: Object, new: Object, old: Sequence[Object]) -> dict[str, int]:
    """New sizes of the old sets in a rolling update, by name; only those that change.

    Pods that are not available go first, for they serve nobody; then as many as the minimum of
    available pods permits.
    """
    _, unavailable = limits(deployment)
    everything = [*old, new]
    minimum = replicas_of(deployment) - unavailable
    missing = replicas_of(new) - status_total([new], "availableReplicas")
    budget = total(everything) - minimum - missing
    if total(old) == 0 or budget <= 0:
        return {}
    sizes = {item["metadata"]["name"]: replicas_of(item) for item in old}
    for item in sorted(old, key=creation_order):
        name = item["metadata"]["name"]
        unhealthy = sizes[name] - status_total([item], "availableReplicas")
        gone = max(min(budget, unhealthy), 0)
        sizes[name] -= gone
        budget -= gone
    spare = status_total(everything, "availableReplicas") - minimum
    for item in sorted(old, key=creation_order):
        name = item["metadata"]["name"]
        gone = max(min(spare, sizes[name]), 0)
        sizes[name] -= gone
        spare -= gone
    return {
        item["metadata"]["name"]: sizes[item["metadata"]["name"]]
        for item in old
        if sizes[item["metadata"]["name"]] != replicas_of(item)
    }


def proportional_sizes(deployment: Object, sets: Sequence[Object]) -> dict[str, int]:
    """Sizes of the active sets after scaling in the middle of a rollout, by name.

    Each set keeps its share of the whole, the larger ones first; of two equally large the newer
    grows first and the older shrinks first. What rounding leaves over goes to the first.
    """
    surge, _ = limits(deployment)
    wanted = replicas_of(deployment)
    allowed = wanted + surge if wanted > 0 else 0
    to_add = allowed - total(sets)
    by_age = sorted(sets, key=creation_order, reverse=to_add > 0)
    ordered = sorted(by_age, key=replicas_of, reverse=True)
    sizes = {}
    left = to_add
    for item in ordered:
        size = replicas_of(item)
        known = int(objects.annotations_of(item).get(MAXIMUM, "0")) or total(sets) or 1
        # halves go up, as in Kubernetes; round() would take them to the even neighbour
        share = (2 * size * allowed + known) // (2 * known) - size if wanted else -size
        share = min(max(share, 0), left) if to_add > 0 else max(min(share, 0), left)
        sizes[item["metadata"]["name"]] = size + share
        left -= share
    if ordered and left:
        first = ordered[0]["metadata"]["name"]
        sizes[first] = max(sizes[first] + left, 0)
    return sizes
