"""Parses requests, calls the state, shapes answers: one coroutine per API operation."""

from typing import Any

import pydantic_core
from aiohttp import web

from labkit.embedded.digitalocean import catalog, shapes
from labkit.embedded.digitalocean.errors import bad_request, not_found, unprocessable
from labkit.embedded.digitalocean.state import ASSOCIATED, DigitalOceanState

STATE = web.AppKey("state", DigitalOceanState)

_DEFAULT_PER_PAGE = 20
_MAX_PER_PAGE = 200


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = pydantic_core.from_json(await request.read(), allow_inf_nan=False)
    except (ValueError, web.RequestPayloadError):
        raise bad_request("the request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise bad_request("the request body must be a JSON object")
    shapes.check(body)
    return body


def _number(request: web.Request, name: str, *, default: int, maximum: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= maximum:
        raise unprocessable(f"{name} must be a number between 1 and {maximum}")
    return int(text)


def _page(request: web.Request, key: str, items: list[dict[str, Any]]) -> web.Response:
    """Answer one page of a list, with the links and the total that clients page by."""
    items = request.app[STATE].faults.as_listed(key, items)
    per_page = _number(request, "per_page", default=_DEFAULT_PER_PAGE, maximum=_MAX_PER_PAGE)
    page = _number(request, "page", default=1, maximum=10**8)
    last = max(1, -(-len(items) // per_page))
    pages: dict[str, str] = {}

    def link(name: str, number: int) -> None:
        pages[name] = str(request.url.update_query(page=str(number), per_page=str(per_page)))

    if 1 < page <= last:
        link("first", 1)
        link("prev", page - 1)
    if page < last:
        link("next", page + 1)
        link("last", last)
    chosen = items[(page - 1) * per_page : page * per_page]
    links: dict[str, Any] = {"pages": pages} if pages else {}
    return web.json_response({key: chosen, "links": links, "meta": {"total": len(items)}})


async def account(request: web.Request) -> web.Response:
    """GET /v2/account."""
    return web.json_response({"account": request.app[STATE].account()})


async def regions(request: web.Request) -> web.Response:
    """GET /v2/regions."""
    return _page(request, "regions", catalog.regions())


async def sizes(request: web.Request) -> web.Response:
    """GET /v2/sizes."""
    return _page(request, "sizes", catalog.sizes())


async def kubernetes_options(request: web.Request) -> web.Response:
    """GET /v2/kubernetes/options."""
    del request
    return web.json_response(catalog.options())


async def list_clusters(request: web.Request) -> web.Response:
    """GET /v2/kubernetes/clusters."""
    return _page(request, "kubernetes_clusters", request.app[STATE].clusters())


async def create_cluster(request: web.Request) -> web.Response:
    """POST /v2/kubernetes/clusters."""
    record = request.app[STATE].create_cluster(await _body(request))
    return web.json_response({"kubernetes_cluster": record}, status=201)


def _cluster_id(request: web.Request) -> str:
    return request.match_info["cluster_id"]


async def get_cluster(request: web.Request) -> web.Response:
    """GET /v2/kubernetes/clusters/{cluster_id}."""
    record = request.app[STATE].cluster(_cluster_id(request))
    return web.json_response({"kubernetes_cluster": record})


async def update_cluster(request: web.Request) -> web.Response:
    """PUT /v2/kubernetes/clusters/{cluster_id}."""
    record = request.app[STATE].update_cluster(_cluster_id(request), await _body(request))
    return web.json_response({"kubernetes_cluster": record}, status=202)


async def delete_cluster(request: web.Request) -> web.Response:
    """DELETE /v2/kubernetes/clusters/{cluster_id}."""
    request.app[STATE].delete_cluster(_cluster_id(request))
    return web.Response(status=204)


async def kubeconfig(request: web.Request) -> web.Response:
    """GET …/kubeconfig: YAML, as the real API."""
    text = request.app[STATE].kubeconfig(_cluster_id(request))
    return web.Response(body=text.encode(), content_type="application/yaml")


async def credentials(request: web.Request) -> web.Response:
    """GET …/credentials."""
    return web.json_response(request.app[STATE].credentials(_cluster_id(request)))


async def list_node_pools(request: web.Request) -> web.Response:
    """GET …/node_pools."""
    record = request.app[STATE].cluster(_cluster_id(request))
    return web.json_response({"node_pools": record["node_pools"]})


async def get_node_pool(request: web.Request) -> web.Response:
    """GET …/node_pools/{node_pool_id}."""
    record = request.app[STATE].cluster(_cluster_id(request))
    for pool in record["node_pools"]:
        if pool["id"] == request.match_info["node_pool_id"]:
            return web.json_response({"node_pool": pool})
    raise not_found()


async def associated_resources(request: web.Request) -> web.Response:
    """GET …/destroy_with_associated_resources."""
    return web.json_response(request.app[STATE].associated_resources(_cluster_id(request)))


async def destroy_selective(request: web.Request) -> web.Response:
    """DELETE …/destroy_with_associated_resources/selective."""
    body = await _body(request)
    chosen = {}
    for key in ASSOCIATED:
        value = body.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise unprocessable(f"{key} must be a list of ids")
        chosen[key] = value
    request.app[STATE].destroy_cluster(_cluster_id(request), chosen=chosen)
    return web.Response(status=204)


async def destroy_dangerous(request: web.Request) -> web.Response:
    """DELETE …/destroy_with_associated_resources/dangerous."""
    request.app[STATE].destroy_cluster(_cluster_id(request), chosen=None)
    return web.Response(status=204)


async def list_load_balancers(request: web.Request) -> web.Response:
    """GET /v2/load_balancers."""
    return _page(request, "load_balancers", request.app[STATE].balancers.list())


async def create_load_balancer(request: web.Request) -> web.Response:
    """POST /v2/load_balancers."""
    record = request.app[STATE].balancers.create(await _body(request))
    return web.json_response({"load_balancer": record}, status=202)


async def get_load_balancer(request: web.Request) -> web.Response:
    """GET /v2/load_balancers/{lb_id}."""
    record = request.app[STATE].balancers.get(request.match_info["lb_id"])
    return web.json_response({"load_balancer": record})


async def update_load_balancer(request: web.Request) -> web.Response:
    """PUT /v2/load_balancers/{lb_id}."""
    balancers, body = request.app[STATE].balancers, await _body(request)
    record = balancers.update(request.match_info["lb_id"], body)
    return web.json_response({"load_balancer": record})


async def delete_load_balancer(request: web.Request) -> web.Response:
    """DELETE /v2/load_balancers/{lb_id}."""
    request.app[STATE].balancers.delete(request.match_info["lb_id"])
    return web.Response(status=204)


async def list_volumes(request: web.Request) -> web.Response:
    """GET /v2/volumes."""
    name, region = request.query.get("name"), request.query.get("region")
    items = [
        item
        for item in request.app[STATE].volumes.list()
        if name in (None, item["name"]) and region in (None, item["region"]["slug"])
    ]
    return _page(request, "volumes", items)


async def create_volume(request: web.Request) -> web.Response:
    """POST /v2/volumes."""
    record = request.app[STATE].volumes.create(await _body(request))
    return web.json_response({"volume": record}, status=201)


async def get_volume(request: web.Request) -> web.Response:
    """GET /v2/volumes/{volume_id}."""
    record = request.app[STATE].volumes.get(request.match_info["volume_id"])
    return web.json_response({"volume": record})


async def delete_volume(request: web.Request) -> web.Response:
    """DELETE /v2/volumes/{volume_id}."""
    request.app[STATE].volumes.delete(request.match_info["volume_id"])
    return web.Response(status=204)


async def list_snapshots(request: web.Request) -> web.Response:
    """GET /v2/snapshots: of volumes; there are no Droplets to have any."""
    droplets = request.query.get("resource_type") == "droplet"
    items = [] if droplets else request.app[STATE].snapshots.list()
    return _page(request, "snapshots", items)


async def get_snapshot(request: web.Request) -> web.Response:
    """GET /v2/snapshots/{snapshot_id}."""
    record = request.app[STATE].snapshots.get(request.match_info["snapshot_id"])
    return web.json_response({"snapshot": record})


async def delete_snapshot(request: web.Request) -> web.Response:
    """DELETE /v2/snapshots/{snapshot_id}."""
    request.app[STATE].snapshots.delete(request.match_info["snapshot_id"])
    return web.Response(status=204)


async def get_faults(request: web.Request) -> web.Response:
    """GET /labkit/faults."""
    return web.json_response({"faults": request.app[STATE].faults.shown()})


async def put_faults(request: web.Request) -> web.Response:
    """PUT /labkit/faults: these switches and no others are on."""
    request.app[STATE].faults.set((await _body(request)).get("faults"))
    return await get_faults(request)


async def unknown(request: web.Request) -> web.Response:
    """Everything else."""
    del request
    raise not_found()
