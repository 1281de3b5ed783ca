"""What kinds of objects a cluster serves: the two controllers that must know all of them ask here.

The answer is kept for a few seconds, because custom resources come and go.
"""

import asyncio
from dataclasses import dataclass

from labkit.embedded.kube import KubeClient, KubeError, path_of

KEPT_S = 5.0


@dataclass(frozen=True)
class Resource:
    """One kind of object.

    Attributes:
        api_version: as `apps/v1`; a group's preferred version.
        plural: as `deployments`.
        kind: as `Deployment`.
        namespaced: whether its objects live in namespaces.
        verbs: what can be done with it.
    """

    api_version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def group(self) -> str:
        """The API group, "" for the core."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The path of the collection or of one object."""
        where = namespace if self.namespaced else None
        return path_of(self.api_version, self.plural, where, name)


class Discovery:
    """The served resources, asked for at most every five seconds."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._known: list[Resource] = []
        self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def resources(self, *, fresh: bool = False) -> list[Resource]:
        """All resources in the preferred version of each group, without subresources.

        Raises:
            KubeError: the server did not list its groups.
        """
        async with self._lock:
            clock = asyncio.get_running_loop().time
            if fresh or clock() - self._asked > KEPT_S:
                self._known = await self._ask()
                self._asked = clock()
            return list(self._known)

    async def _ask(self) -> list[Resource]:
        groups = (await self._kube.get("/apis")).get("groups") or []
        versions = ["v1", *(g["preferredVersion"]["groupVersion"] for g in groups)]
        # One after the other, over one connection: each further one would cost a TLS handshake.
        lists = [await self._ask_one(version) for version in versions]
        return [resource for found in lists for resource in found]

    async def _ask_one(self, version: str) -> list[Resource]:
        root = "/apis/" if "/" in version else "/api/"
        try:
            answer = await self._kube.get(root + version)
        except KubeError as error:
            if error.status in {404, 503}:
                return []  # it went away, or an aggregated API has no server: nothing to clean up
            raise
        return [
            Resource(
                api_version=version,
                plural=item["name"],
                kind=item["kind"],
                namespaced=bool(item["namespaced"]),
                verbs=frozenset(item.get("verbs") or []),
            )
            for item in answer.get("resources") or []
            if "/" not in item["name"]
        ]
