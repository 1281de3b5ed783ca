"""What DigitalOcean must offer before clusters are asked for: token, rights, offers, limits.

Everything here reads; nothing is created. DigitalOcean tells the limit of Droplets (nodes count as
such) and no limit of clusters, so only the first is looked at.
"""

from collections.abc import Callable

from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.linkerd_support import supports
from labkit.clouds.commands import linkerd_version
from labkit.clouds.prerequisites import Prerequisite, Seen, bad, enough, odd, ok
from labkit.clouds.token import KEYRING_SERVICE, KEYRING_USER, find_token
from labkit.errors import CloudError, CommandError
from labkit.params import Params

TOKEN_FIX = (
    "export DIGITALOCEAN_TOKEN=…  # or: "
    f"python -m keyring set {KEYRING_SERVICE} {KEYRING_USER}; scopes kubernetes and load_balancer"
)


def token() -> Prerequisite:
    """Whether there is a token at all."""

    def look() -> Seen:
        found = find_token()
        return ok(found.source) if found.value else bad("; ".join(found.tried))

    return Prerequisite("account.token", "there is a token", TOKEN_FIX, look)


def of_the_account(
    client: Callable[[], DigitalOcean], params: Params, linkerd: tuple[str, ...]
) -> tuple[Prerequisite, ...]:
    """The questions to an account.

    Args:
        client: connects; raises when there is no token.
        params: what the lab wants.
        linkerd: the command, for the oldest Kubernetes that its version takes.
    """
    return (
        Prerequisite(
            "account.active",
            "the account answers and is active",
            "https://cloud.digitalocean.com/account: see what it wants",
            lambda: _active(client()),
        ),
        Prerequisite(
            "account.scopes",
            "the token may read clusters and load balancers",
            TOKEN_FIX,
            lambda: _scopes(client()),
        ),
        Prerequisite(
            "account.offers",
            "regions, node size and Kubernetes version are offered",
            "labkit config; then choose others with -p KEY=VALUE",
            lambda: _offers(client(), params),
        ),
        Prerequisite(
            "account.kubernetes",
            "the Kubernetes version suits Linkerd",
            "labkit up -p kubernetes_version=latest",
            lambda: _kubernetes(client(), params, linkerd),
        ),
        Prerequisite(
            "account.droplets",
            "the limit of Droplets permits the nodes",
            "labkit up -p node_count=2  # or ask for more in the control panel",
            lambda: _droplets(client(), params),
        ),
    )


def _active(client: DigitalOcean) -> Seen:
    account = client.account()
    return enough(account.status == "active", f"status {account.status}")


def _scopes(client: DigitalOcean) -> Seen:
    refused = []
    for what, read in (
        ("clusters", client.clusters),
        ("load balancers", client.resources.load_balancers),
    ):
        try:
            read()
        except CloudError as error:
            if error.status not in (401, 403):
                raise
            refused.append(f"{what} ({error.status})")
    if refused:
        return bad(f"refused: {', '.join(refused)}")
    return ok("both can be listed; whether it may create shows when it does")


def _offers(client: DigitalOcean, params: Params) -> Seen:
    offered = client.options()
    wrong = [
        f"{key} `{region}` is not offered"
        for key, region in (
            ("west_region", params.west_region),
            ("east_region", params.east_region),
        )
        if region not in offered.regions
    ]
    if params.node_size not in offered.sizes:
        wrong.append(f"node_size `{params.node_size}` is not offered")
    if not _versions(client, params):
        known = ", ".join(offered.versions)
        wrong.append(f"kubernetes_version `{params.kubernetes_version}` is not among {known}")
    if wrong:
        return bad("; ".join(wrong))
    return ok(f"{params.west_region}, {params.east_region}, {params.node_size}")


def _versions(client: DigitalOcean, params: Params) -> list[str]:
    """The versions offered that fit the parameter, newest first."""
    asked = params.kubernetes_version
    return [
        version
        for slug, version in client.options().versions.items()
        if asked in ("latest", slug, version) or version.startswith(f"{asked}.")
    ]


def _kubernetes(client: DigitalOcean, params: Params, linkerd: tuple[str, ...]) -> Seen:
    versions = _versions(client, params)
    try:
        version = linkerd_version(linkerd)
    except CommandError:
        version = ""
    if not versions or not version:
        return odd("cannot be told: " + ("no `linkerd` command" if versions else "no such version"))
    return enough(*supports(version, versions[0]))


def _droplets(client: DigitalOcean, params: Params) -> Seen:
    limit = client.account().droplet_limit
    own = f"lab:{params.lab_name}"
    used = sum(len(item.node_names) for item in client.clusters() if own not in item.tags)
    wanted = 2 * params.node_count
    text = f"limit {limit}; {used} nodes of other clusters, {wanted} wanted for this lab"
    return enough(used + wanted <= limit, text)
