"""Who may talk to a port: Servers and their authorizations, read and enforced by Envoy."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from labkit.embedded.mesh.policies import PolicyReader, by_mode, matches

BOT = "default.emojivoto.serviceaccount.identity.linkerd.cluster.local"
POD = {
    "metadata": {"namespace": "emojivoto", "name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}]},
}


def made(name, spec, namespace="emojivoto"):
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


def server(port="http", **more):
    return made("web-http", {"podSelector": {"matchLabels": {"app": "web"}}, "port": port, **more})


def granted(*references):
    target = {"kind": "Server", "name": "web-http"}
    return made("voters", {"targetRef": target, "requiredAuthenticationRefs": list(references)})


def tls(*identities, **more):
    return made("voters", {"identities": list(identities), **more})


VOTERS = {"kind": "MeshTLSAuthentication", "name": "voters"}
NETWORK = {"kind": "NetworkAuthentication", "name": "lan"}


def read(pod=POD, namespaces=(), **objects):
    return PolicyReader(objects, namespaces).of_pod(pod)


@pytest.mark.parametrize(
    ("mode", "mesh", "everybody"),
    [
        ("all-unauthenticated", True, True),
        ("audit", True, True),
        ("cluster-authenticated", True, False),
        ("deny", False, False),
        ("nonsense", False, False),
    ],
)
def test_a_mode_lets_in(mode, mesh, everybody):
    policy = by_mode(mode)
    assert (policy.open_to_mesh, policy.unauthenticated) == (mesh, everybody)


def test_a_server_without_an_authorization_lets_nobody_in():
    (policy,) = read(servers=[server()]).values()
    assert policy.server == "web-http"
    assert not policy.identities
    assert not policy.open_to_mesh


@pytest.mark.parametrize("port", [8080, "http"])
def test_a_port_is_meant_by_name_or_number(port):
    assert list(read(servers=[server(port)])) == [8080]


def test_other_pods_namespaces_and_extensions_are_left_alone():
    assert not read(servers=[server("grpc")])
    other = {**POD, "metadata": {**POD["metadata"], "labels": {"app": "emoji"}}}
    assert not read(other, servers=[server()])
    away = {**POD, "metadata": {**POD["metadata"], "namespace": "other"}}
    assert not read(away, servers=[server()])
    extension = {"metadata": {"name": "emojivoto", "labels": {"linkerd.io/extension": "viz"}}}
    assert not read(namespaces=[extension], servers=[server()])


def test_all_that_is_required_must_hold():
    lan = made("lan", {"networks": [{"cidr": "10.0.0.0/8"}]})
    anywhere = made("lan", {"networks": [{"cidr": "0.0.0.0/0"}]})
    objects = {"servers": [server()], "meshtlsauthentications": [tls(BOT)]}

    def identities(network):
        policies = [granted(VOTERS, NETWORK)]
        found = read(**objects, authorizationpolicies=policies, networkauthentications=[network])
        return found[8080].identities

    assert identities(anywhere) == {BOT}
    assert identities(lan) == set(), "all addresses are loopback: a narrow network is nobody's"
    (policy,) = read(**objects, authorizationpolicies=[granted({**VOTERS, "name": "no"})]).values()
    assert policy.identities == set()


def test_accounts_and_namespaces_are_meant_by_reference():
    account = {"kind": "ServiceAccount", "name": "web"}
    (policy,) = read(servers=[server()], authorizationpolicies=[granted(account)]).values()
    assert policy.identities == {BOT.replace("default", "web")}
    assert policy.authorization == ("authorizationpolicy", "voters")
    whole = tls(identityRefs=[{"kind": "Namespace", "name": "emojivoto"}])
    (policy,) = read(
        servers=[server()],
        authorizationpolicies=[granted(VOTERS)],
        meshtlsauthentications=[whole],
    ).values()
    (pattern,) = policy.identities
    assert matches(pattern, BOT)
    assert not matches(pattern, BOT.replace("emojivoto", "other"))


@pytest.mark.parametrize(
    ("client", "identities", "everybody"),
    [
        ({"unauthenticated": True}, set(), True),
        ({"meshTLS": {"identities": ["*"]}}, {"*"}, False),
        ({"meshTLS": {"unauthenticatedTLS": True}}, {"*"}, False),
        ({"meshTLS": {"serviceAccounts": [{"name": "default"}]}}, {BOT}, False),
    ],
)
def test_a_server_authorization_lets_in(client, identities, everybody):
    authorization = made("old", {"server": {"name": "web-http"}, "client": client})
    (policy,) = read(servers=[server()], serverauthorizations=[authorization]).values()
    assert (policy.identities, policy.unauthenticated) == (identities, everybody)


def total(text, name, **wanted):
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and wanted.items() <= sample.labels.items()
    )


async def test_envoy_refuses_by_identity_and_lets_in_again_on_open_connections(
    make_cluster, start_app, mesh
):
    west = await make_cluster("west")
    web = west.add_pod("web", app={8080: await start_app()}, account="web")
    bot = west.add_pod("vote-bot")
    west.add_service("web-svc", web, 80, 8080)
    await west.publish()
    await asyncio.gather(west.run(web), west.run(bot))

    async def status():
        return (await mesh.fetch(bot, "http://web-svc/"))[0]

    assert await status() == 200
    west.policies = {
        "servers": [server(8080)],
        "authorizationpolicies": [granted(VOTERS)],
        "meshtlsauthentications": [tls("somebody.else")],
    }
    await west.publish()

    async def becomes(code):
        await mesh.until(lambda: _is(status(), code))

    await becomes(403)
    west.policies["meshtlsauthentications"] = [tls(BOT)]
    await west.publish()
    await becomes(200)

    async def counted():
        text = await mesh.metrics_of(web)
        denied = total(text, "inbound_http_authz_deny_total", srv_name="web-http", tls="true")
        let_in = total(
            text, "inbound_http_authz_allow_total", srv_name="web-http", authz_name="voters"
        )
        return denied > 0 and let_in > 0

    await mesh.until(counted)
    assert total(await mesh.metrics_of(bot), "response_total", status_code="403") > 0


async def _is(answer, code):
    return await answer == code
