"""Chapter 01: two clusters in two regions, and a kubeconfig that belongs to the lab."""

from collections.abc import Mapping

from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.rollouts import wait_for
from labkit.clouds import ClusterFacts, install_kubectl, require_consent, save_kubeconfig
from labkit.context import CLUSTERS, LabContext
from labkit.display import Step, Table
from labkit.progress import Progress, progress

NODES_TIMEOUT_S = 300.0


def create(lab: LabContext) -> Step:
    """Create west and east where they are missing, wait for their nodes, save the kubeconfig."""
    lab.folder.prepare()
    install_kubectl(lab.folder)
    with progress("Creating clusters") as shown:
        lab.cloud.start()
        _agree(lab)
        facts = lab.cloud.ensure_clusters(
            lab.regions, lambda name, text: shown.update(text, key=name)
        )
        save_kubeconfig(lab.folder, lab.cloud, CLUSTERS)
        lab.read_meter()
        for name in CLUSTERS:
            shown.update(f"running, {_wait_nodes(lab, name, shown)}", key=name)
    return Step(
        "The clusters west and east run, each with its own API server.",
        by_hand=_shell(lab),
        table=Table.of([_row(item) for item in facts]),
        notes=("The kubeconfig is the lab's own; your ~/.kube/config was not touched.",),
        facts={
            "clusters": [vars(item) for item in facts],
            "kubeconfig": str(lab.folder.kubeconfig),
        },
    )


def _agree(lab: LabContext) -> None:
    """Before anything is created: the cost is within the cap, and agreed to."""
    there = {item.name for item in lab.cloud.clusters()}
    if not there:
        lab.meter.reset()
    if not there >= set(CLUSTERS):
        require_consent(lab.cloud, lab.params)


STEPS = (create,)


def _row(facts: ClusterFacts) -> dict[str, object]:
    return {
        "context": facts.name,
        "region": facts.region,
        "version": facts.version,
        "nodes": f"{facts.nodes} x {facts.node_size}" if facts.nodes else "",
        "state": facts.state,
        "API server": facts.endpoint,
    }


def _shell(lab: LabContext) -> tuple[str, ...]:
    lines = [
        f"doctl kubernetes cluster create {name} --region {region} "
        f"--count {lab.params.node_count} --size {lab.params.node_size}"
        for name, region in lab.regions.items()
    ]
    renames = [
        f"kubectl config rename-context do-{region}-{name} {name}"
        for name, region in lab.regions.items()
    ]
    return (*lines, *renames, "kubectl --context west get nodes")


def ready_nodes(lab: LabContext, cluster: str) -> tuple[int, int]:
    """(Ready nodes, nodes) of a cluster."""
    nodes = lab.kubernetes(cluster).list("v1", "Node")
    ready = sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
        for node in nodes
    )
    return ready, len(nodes)


def _wait_nodes(lab: LabContext, cluster: str, shown: Progress) -> str:
    def look() -> tuple[bool, str]:
        ready, total = ready_nodes(lab, cluster)
        wanted = lab.params.node_count
        return min(wanted, 1) <= ready == total, f"{ready} of {total} nodes Ready"

    return wait_for(
        look,
        what=f"the nodes of {cluster} to be Ready",
        timeout_s=NODES_TIMEOUT_S,
        fix=f"kubectl --context {cluster} describe nodes",
        report=shown,
        key=cluster,
        told="the nodes to be Ready",
    )


def _nodes(cluster: str) -> Check:
    not_ready = Reason("{ready} of {total} nodes of {cluster} are Ready", coming=True)
    none = Reason("{cluster} has no nodes", fix="labkit down; labkit up  # the lab is made anew")

    def look(lab: LabContext) -> Finding:
        ready, total = ready_nodes(lab, cluster)
        if total == 0:
            return none.seen(cluster=cluster)
        if ready < total:
            return not_ready.seen(ready=ready, total=total, cluster=cluster)
        return passed(f"{ready} of {total} nodes Ready")

    return Check(
        id=f"01.nodes-{cluster}",
        title=f"all nodes of {cluster} are Ready",
        clusters=(cluster,),
        proves="pods can be scheduled there",
        fix=f"kubectl --context {cluster} describe nodes",
        look=look,
        reasons=(not_ready, none),
    )


_SAME = Reason("both contexts lead to the same cluster: {uid}")
_ELSEWHERE = Reason("{found}; asked for: {wanted}")


def _two_servers(lab: LabContext) -> Finding:
    uids = {
        name: lab.kubernetes(name).require("v1", "Namespace", "kube-system")["metadata"]["uid"]
        for name in CLUSTERS
    }
    if len(set(uids.values())) != len(CLUSTERS):
        return _SAME.seen(uid=f"{uids[CLUSTERS[0]][:8]}…")
    return passed(", ".join(f"{name} is {uid[:8]}…" for name, uid in uids.items()))


def _regions(lab: LabContext) -> Finding:
    found = {item.name: item.region for item in lab.cloud.clusters()}
    if found == dict(lab.regions):
        return passed(_places(found))
    return _ELSEWHERE.seen(found=_places(found), wanted=_places(lab.regions))


def _places(regions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} in {regions.get(name, 'no region')}" for name in CLUSTERS)


CHECKS = (
    *(_nodes(name) for name in CLUSTERS),
    Check(
        id="01.two-servers",
        title="west and east are two different clusters",
        clusters=CLUSTERS,
        proves="what is installed in one is not in the other",
        fix="labkit down; labkit up  # the lab is made anew",
        look=_two_servers,
        reasons=(_SAME,),
    ),
    Check(
        id="01.regions",
        title="each cluster is in the region that was asked for",
        clusters=CLUSTERS,
        proves="the latency figures belong to the regions they name",
        fix="labkit down; labkit up  # -p west_region=… -p east_region=… for others",
        look=_regions,
        reasons=(_ELSEWHERE,),
    ),
)
