"""The table of emulated operations: method, path, handler. What is not here is a 404.

`CONTROL` is no part of DigitalOcean's API: it is the door for switching faults on and off.
"""

from aiohttp import web

from labkit.embedded.digitalocean import handlers

_CLUSTERS = "/v2/kubernetes/clusters"
_CLUSTER = _CLUSTERS + "/{cluster_id}"
_DESTROY = _CLUSTER + "/destroy_with_associated_resources"
_BALANCER = "/v2/load_balancers/{lb_id}"
_VOLUME = "/v2/volumes/{volume_id}"
_SNAPSHOT = "/v2/snapshots/{snapshot_id}"

CONTROL = (
    web.get("/labkit/faults", handlers.get_faults),
    web.put("/labkit/faults", handlers.put_faults),
)

ROUTES = (
    web.get("/v2/account", handlers.account),
    web.get("/v2/regions", handlers.regions),
    web.get("/v2/sizes", handlers.sizes),
    web.get("/v2/kubernetes/options", handlers.kubernetes_options),
    web.get(_CLUSTERS, handlers.list_clusters),
    web.post(_CLUSTERS, handlers.create_cluster),
    web.get(_CLUSTER, handlers.get_cluster),
    web.put(_CLUSTER, handlers.update_cluster),
    web.delete(_CLUSTER, handlers.delete_cluster),
    web.get(_CLUSTER + "/kubeconfig", handlers.kubeconfig),
    web.get(_CLUSTER + "/credentials", handlers.credentials),
    web.get(_CLUSTER + "/node_pools", handlers.list_node_pools),
    web.get(_CLUSTER + "/node_pools/{node_pool_id}", handlers.get_node_pool),
    web.get(_DESTROY, handlers.associated_resources),
    web.delete(_DESTROY + "/selective", handlers.destroy_selective),
    web.delete(_DESTROY + "/dangerous", handlers.destroy_dangerous),
    web.get("/v2/load_balancers", handlers.list_load_balancers),
    web.post("/v2/load_balancers", handlers.create_load_balancer),
    web.get(_BALANCER, handlers.get_load_balancer),
    web.put(_BALANCER, handlers.update_load_balancer),
    web.delete(_BALANCER, handlers.delete_load_balancer),
    web.get("/v2/volumes", handlers.list_volumes),
    web.post("/v2/volumes", handlers.create_volume),
    web.get(_VOLUME, handlers.get_volume),
    web.delete(_VOLUME, handlers.delete_volume),
    web.get("/v2/snapshots", handlers.list_snapshots),
    web.get(_SNAPSHOT, handlers.get_snapshot),
    web.delete(_SNAPSHOT, handlers.delete_snapshot),
    web.route("*", "/{path:.*}", handlers.unknown),
)
