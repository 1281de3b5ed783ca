"""The API as a client sees it: status, bodies, headers; the contract is checked by the fixture."""

import base64
import json
import ssl
import urllib.error
import urllib.request

import pytest
import yaml

from labkit.embedded.digitalocean.progression import Progression

MISSING = "00000000-0000-4000-8000-000000000000"


class Api:
    def __init__(self, server):
        self.server = server
        self.context = ssl.create_default_context(cafile=str(server.ca_file))

    def __call__(self, method, path, body=None, *, token=None, raw=None):
        """Return (status, JSON or text, headers)."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token or self.server.token}"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.server.endpoint + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
                return answer.status, _decoded(answer), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error), error.headers


def _decoded(answer):
    text = answer.read().decode()
    if answer.headers.get_content_type() == "application/json":
        return json.loads(text)
    return text


@pytest.fixture
def api(digitalocean):
    return Api(digitalocean)


def cluster_body(**changes):
    pool = {"name": "pool", "size": "s-2vcpu-4gb", "count": 3}
    body = {"name": "west", "region": "sfo3", "version": "1.36.2-do.0", "node_pools": [pool]}
    return body | changes


def balancer_body(**changes):
    rule = {
        "entry_protocol": "tcp",
        "entry_port": 4143,
        "target_protocol": "tcp",
        "target_port": 30143,
    }
    body = {"name": "lb", "region": "sfo3", "tag": "k8s:x", "forwarding_rules": [rule]}
    return body | changes


def create(api, **changes):
    status, answer, _ = api("POST", "/v2/kubernetes/clusters", cluster_body(**changes))
    assert status == 201, answer
    return answer["kubernetes_cluster"]


def balancer(api, **changes):
    status, answer, _ = api("POST", "/v2/load_balancers", balancer_body(**changes))
    assert status == 202, answer
    return answer["load_balancer"]


def path(cluster, rest=""):
    return f"/v2/kubernetes/clusters/{cluster['id']}{rest}"


@pytest.mark.parametrize("token", ["wrong", "", "é"])
def test_a_wrong_token_is_401_with_the_api_s_error_body(api, token):
    request = {"Authorization": f"Bearer {token}".encode("utf-8", "replace").decode("latin-1")}
    made = urllib.request.Request(api.server.endpoint + "/v2/account", headers=request)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(made, context=api.context, timeout=10)
    with caught.value as error:
        body = json.loads(error.read())
    assert error.code == 401
    assert body["id"] == "unauthorized"
    assert body["request_id"] == error.headers["x-request-id"]


@pytest.mark.parametrize("region", [{"slug": "sfo3"}, {"slug": {}}, {}, ["sfo3"], 3])
def test_a_region_that_is_no_name_is_refused(api, region):
    status, answer, _ = api("POST", "/v2/kubernetes/clusters", cluster_body(region=region))
    assert (status, answer["id"]) == (422, "unprocessable_entity")
    if region != {"slug": "sfo3"}:  # what a load balancer's view holds may be sent back
        status, answer, _ = api("POST", "/v2/load_balancers", balancer_body(region=region))
        assert (status, answer["id"]) == (422, "unprocessable_entity")


def test_account_regions_sizes_and_options_are_answered(api):
    for where in ("/v2/account", "/v2/regions", "/v2/sizes", "/v2/kubernetes/options"):
        status, _, headers = api("GET", where)
        assert status == 200
        assert headers["ratelimit-limit"] == "5000"


def test_the_remaining_requests_count_down(api):
    left = [int(api("GET", "/v2/account")[2]["ratelimit-remaining"]) for _ in range(2)]
    assert left[1] == left[0] - 1


def test_above_an_enforced_rate_limit_the_answer_is_429_with_retry_after(
    serve_digitalocean, tmp_path
):
    with serve_digitalocean(tmp_path, rate_limit=2, enforce=True) as server:
        api = Api(server)
        answers = [api("GET", "/v2/account") for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert answers[2][1]["id"] == "too_many_requests"
    assert int(answers[2][2]["Retry-After"]) > 3000


def test_a_page_has_links_to_its_neighbours_and_the_total(api):
    status, body, _ = api("GET", "/v2/regions?page=2&per_page=4")
    assert status == 200
    assert len(body["regions"]) == 4
    assert body["meta"] == {"total": 11}
    assert {key: link.rpartition("?")[2] for key, link in body["links"]["pages"].items()} == {
        "first": "page=1&per_page=4",
        "prev": "page=1&per_page=4",
        "next": "page=3&per_page=4",
        "last": "page=3&per_page=4",
    }


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=201", "per_page=-1"])
def test_a_page_that_cannot_be_is_422(api, query):
    assert api("GET", f"/v2/sizes?{query}")[0] == 422


def test_an_operation_that_is_not_emulated_is_404(api):
    status, body, _ = api("GET", "/v2/droplets")
    assert (status, body["id"]) == (404, "not_found")


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_400(api, raw):
    status, body, _ = api("POST", "/v2/kubernetes/clusters", raw=raw)
    assert (status, body["id"]) == (400, "bad_request")


def test_a_new_cluster_is_provisioning_and_then_running(api):
    cluster = create(api)
    assert cluster["status"]["state"] == "provisioning"
    assert f"k8s:{cluster['id']}" in cluster["tags"]
    _, body, _ = api("GET", path(cluster))
    running = body["kubernetes_cluster"]
    assert running["status"]["state"] == "running"
    assert [n["status"]["state"] for n in running["node_pools"][0]["nodes"]] == ["running"] * 3


def test_clusters_have_distinct_pod_subnets(api):
    subnets = [
        create(api)["cluster_subnet"],
        create(api, name="east", region="syd1")["cluster_subnet"],
    ]
    assert subnets == ["10.244.0.0/16", "10.245.0.0/16"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "West!"}, "invalid cluster name"),
        ({"region": "mars1"}, "invalid region"),
        ({"version": "9.9"}, "invalid version"),
        ({"node_pools": []}, "at least one node pool"),
        ({"node_pools": [{"name": "p", "size": "s-1vcpu-1gb", "count": 1}]}, "invalid size"),
        ({"node_pools": [{"name": "p", "size": "s-2vcpu-4gb", "count": -1}]}, "between 0 and 512"),
        ({"node_pools": [{"name": "p", "size": "s-2vcpu-4gb", "count": 51}]}, "droplet limit"),
        ({"tags": ["a b"]}, "invalid tags"),
        ({"cluster_subnet": "10.0.0.0/99"}, "invalid cluster_subnet"),
    ],
)
def test_a_cluster_that_does_not_fit_is_422_with_the_reason(api, changes, words):
    status, body, _ = api("POST", "/v2/kubernetes/clusters", cluster_body(**changes))
    assert (status, body["id"]) == (422, "unprocessable_entity")
    assert words in body["message"]
    assert api("GET", "/v2/kubernetes/clusters")[1]["meta"]["total"] == 0


def test_a_second_cluster_of_the_same_name_is_422(api):
    create(api)
    status, body, _ = api("POST", "/v2/kubernetes/clusters", cluster_body())
    assert status == 422
    assert "already exists" in body["message"]


def test_a_kubeconfig_is_yaml_with_the_names_of_digitalocean(api):
    cluster = create(api)
    status, text, headers = api("GET", path(cluster, "/kubeconfig"))
    assert status == 200
    assert headers.get_content_type() == "application/yaml"
    config = yaml.safe_load(text)
    assert config["contexts"][0]["context"] == {
        "cluster": "do-sfo3-west",
        "user": "do-sfo3-west-admin",
    }


def test_credentials_name_the_server_and_its_authority(api):
    _, body, _ = api("GET", path(create(api), "/credentials"))
    assert body["server"].startswith("https://127.0.0.1:")
    assert b"CERTIFICATE" in base64.b64decode(body["certificate_authority_data"])


def test_credentials_before_the_cluster_runs_are_422(serve_digitalocean, tmp_path):
    with serve_digitalocean(tmp_path) as server:
        api = Api(server)
        cluster = create(api)
        assert api("GET", path(cluster, "/kubeconfig"))[0] == 422
        assert api("GET", path(cluster, "/credentials"))[0] == 422


def test_node_pools_are_readable(api):
    cluster = create(api)
    _, body, _ = api("GET", path(cluster, "/node_pools"))
    pool = body["node_pools"][0]
    assert (pool["size"], pool["count"]) == ("s-2vcpu-4gb", 3)
    assert api("GET", path(cluster, f"/node_pools/{pool['id']}"))[1]["node_pool"] == pool
    assert api("GET", path(cluster, f"/node_pools/{MISSING}"))[0] == 404


def test_tags_and_upgrade_switches_can_be_updated(api):
    cluster = create(api)
    body = {"name": "west", "tags": ["labkit"], "auto_upgrade": True}
    status, answer, _ = api("PUT", path(cluster), body)
    assert status == 202
    assert answer["kubernetes_cluster"]["auto_upgrade"] is True
    assert "labkit" in answer["kubernetes_cluster"]["tags"]


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/kubeconfig"),
        ("GET", "/credentials"),
        ("GET", "/node_pools"),
        ("GET", "/destroy_with_associated_resources"),
        ("DELETE", "/destroy_with_associated_resources/dangerous"),
    ],
)
def test_what_is_not_there_is_404(api, method, rest):
    status, body, _ = api(method, path({"id": MISSING}, rest))
    assert (status, body["id"]) == (404, "not_found")


def test_a_deleted_cluster_leaves_its_load_balancers_behind(api):
    cluster = create(api)
    balancer(api, tag=f"k8s:{cluster['id']}")
    assert api("DELETE", path(cluster))[0] == 204
    assert api("GET", path(cluster))[0] == 404
    assert api("GET", "/v2/load_balancers")[1]["meta"]["total"] == 1


def test_dangerous_takes_everything_associated_along_and_nothing_else(api):
    cluster = create(api)
    mine = balancer(api, tag=f"k8s:{cluster['id']}")
    other = balancer(api, name="other")
    _, resources, _ = api("GET", path(cluster, "/destroy_with_associated_resources"))
    assert resources["load_balancers"] == [{"id": mine["id"], "name": "lb"}]
    assert api("DELETE", path(cluster, "/destroy_with_associated_resources/dangerous"))[0] == 204
    assert [b["id"] for b in api("GET", "/v2/load_balancers")[1]["load_balancers"]] == [other["id"]]


def test_selective_takes_what_is_named_and_refuses_what_is_foreign(api):
    cluster = create(api)
    mine = balancer(api, tag=f"k8s:{cluster['id']}")
    kept = balancer(api, name="kept", tag=f"k8s:{cluster['id']}")
    other = balancer(api, name="other")
    where = path(cluster, "/destroy_with_associated_resources/selective")
    assert api("DELETE", where, {"load_balancers": [other["id"]]})[0] == 422
    assert api("DELETE", where, {"load_balancers": [mine["id"]]})[0] == 204
    left = {b["id"] for b in api("GET", "/v2/load_balancers")[1]["load_balancers"]}
    assert left == {kept["id"], other["id"]}


def test_a_load_balancer_of_a_cluster_s_nodes_is_associated_with_it(api):
    cluster = create(api)
    droplets = [int(node["droplet_id"]) for node in cluster["node_pools"][0]["nodes"]]
    body = balancer_body(droplet_ids=droplets)
    del body["tag"]
    assert api("POST", "/v2/load_balancers", body)[0] == 202
    _, resources, _ = api("GET", path(cluster, "/destroy_with_associated_resources"))
    assert len(resources["load_balancers"]) == 1


def test_addresses_come_from_one_range_per_region_in_order_of_first_use(api):
    create(api)
    create(api, name="east", region="syd1")
    ids = [
        balancer(api, name=f"lb{n}", region=r)["id"] for n, r in enumerate(["syd1", "sfo3", "syd1"])
    ]
    ips = [api("GET", f"/v2/load_balancers/{i}")[1]["load_balancer"]["ip"] for i in ids]
    assert ips == ["198.51.100.10", "203.0.113.10", "198.51.100.11"]


def test_a_load_balancer_is_new_without_an_address_and_then_active(serve_digitalocean, tmp_path):
    slow = Progression.after_reads(2)
    with serve_digitalocean(tmp_path, standalone=True, progression=slow) as server:
        api = Api(server)
        made = balancer(api)
        assert (made["status"], made["ip"]) == ("new", "")
        where = f"/v2/load_balancers/{made['id']}"
        seen = [api("GET", where)[1]["load_balancer"]["status"] for _ in range(3)]
    assert seen == ["new", "new", "active"]


def test_an_update_keeps_the_address(api):
    made = balancer(api)
    where = f"/v2/load_balancers/{made['id']}"
    before = api("GET", where)[1]["load_balancer"]
    rule = before["forwarding_rules"][0] | {"target_port": 31111}
    status, body, _ = api("PUT", where, balancer_body(forwarding_rules=[rule]))
    assert status == 200
    assert body["load_balancer"]["ip"] == before["ip"]
    assert body["load_balancer"]["forwarding_rules"][0]["target_port"] == 31111


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"forwarding_rules": []}, "at least one"),
        ({"forwarding_rules": [{"entry_port": 1}]}, "needs entry_protocol"),
        ({"region": "mars1"}, "region is invalid"),
        ({"droplet_ids": [1]}, "only one of"),
        ({"name": ""}, "name is missing"),
    ],
)
def test_a_load_balancer_that_does_not_fit_is_422(api, changes, words):
    status, body, _ = api("POST", "/v2/load_balancers", balancer_body(**changes))
    assert status == 422
    assert words in body["message"]


def test_a_load_balancer_can_be_deleted_once(api):
    where = f"/v2/load_balancers/{balancer(api)['id']}"
    assert [api("DELETE", where)[0] for _ in range(2)] == [204, 404]
    assert api("GET", where)[0] == 404


def test_every_emulated_operation_is_in_the_contract(contract):
    from labkit.embedded.digitalocean.routes import ROUTES

    emulated = [(r.method, r.path) for r in ROUTES if r.method != "*"]
    assert len(emulated) == 28
    assert [one for one in emulated if one not in contract.operations()] == []
