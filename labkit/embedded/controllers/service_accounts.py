"""Service accounts: one called `default` in each namespace, the cluster's CA, and token Secrets.

A Secret of type kubernetes.io/service-account-token is filled with `ca.crt`, `namespace` and
`token` (what `linkerd multicluster link` reads), and goes away with its account. The tokens come
from a signer; by default the API server's TokenRequest is asked for one that lasts ten years.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from labkit.embedded.controllers import objects
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.reconciling import Key, is_ending, reconcile_forever
from labkit.embedded.informing import WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, Object, key_of, path_of

CA_CONFIG_MAP = "kube-root-ca.crt"
TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a type's name
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
TOKEN_LIFE_S = 10 * 365 * 86400
_CA_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
)

Signer = Callable[[Object, Object], Awaitable[str]]
"""From the service account and the Secret to a token."""


async def run(
    kube: KubeClient, informers: SharedInformers, *, ca_pem: str, signer: Signer | None = None
) -> None:
    """Follow namespaces, service accounts and Secrets until cancelled.

    Args:
        kube: the cluster.
        informers: its shared informers.
        ca_pem: the cluster's CA, for kube-root-ca.crt and token Secrets.
        signer: makes tokens; None asks the API server by TokenRequest.
    """
    await _Controller(kube, informers, ca_pem, signer).run()


@dataclass
class _Controller:
    kube: KubeClient
    informers: SharedInformers
    ca_pem: str
    signer: Signer | None
    spaces: WorkQueue[Key] = field(default_factory=WorkQueue)
    tokens: WorkQueue[Key] = field(default_factory=WorkQueue)

    def __post_init__(self) -> None:
        self.namespaces = self.informers.of("v1", "namespaces")
        self.accounts = self.informers.of("v1", "serviceaccounts")
        self.config_maps = self.informers.of("v1", "configmaps")
        self.secrets = self.informers.of("v1", "secrets")

    async def run(self) -> None:
        every = (self.namespaces, self.accounts, self.config_maps, self.secrets)
        await asyncio.gather(*(informer.synced() for informer in every))
        self.namespaces.subscribe(lambda _, item: self.spaces.add(("", item["metadata"]["name"])))
        self.config_maps.subscribe(self._config_map_changed)
        self.accounts.subscribe(self._account_changed)
        self.secrets.subscribe(self._secret_changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                reconcile_forever("service accounts", self.spaces, self._furnish, workers=4)
            )
            group.create_task(
                reconcile_forever("service account tokens", self.tokens, self._fill, workers=2)
            )

    def _config_map_changed(self, _: str, item: Object) -> None:
        if item["metadata"]["name"] == CA_CONFIG_MAP:
            self.spaces.add(("", item["metadata"]["namespace"]))

    def _account_changed(self, change: str, item: Object) -> None:
        namespace, name = key_of(item)
        if name == "default" and change == "DELETED":
            self.spaces.add(("", namespace))
        for secret in self.secrets.list(namespace):
            if objects.annotations_of(secret).get(ACCOUNT_NAME) == name:
                self._secret_changed("MODIFIED", secret)

    def _secret_changed(self, change: str, item: Object) -> None:
        if item.get("type") == TOKEN_TYPE and change != "DELETED":
            self.tokens.add(key_of(item))

    async def _furnish(self, key: Key) -> None:
        """The CA and the default account of one namespace.

        In this order: who waits for the account, as pods must, finds everything a pod mounts.
        """
        _, name = key
        namespace = self.namespaces.get("", name)
        if namespace is None or objects.is_deleting(namespace):
            return
        try:
            await self._publish_ca(name)
            if self.accounts.get(name, "default") is None:
                await self._create(
                    "serviceaccounts",
                    {
                        "apiVersion": "v1",
                        "kind": "ServiceAccount",
                        "metadata": {"name": "default", "namespace": name},
                    },
                )
        except KubeError as error:
            if not is_ending(error) and error.status != 404:
                raise

    async def _publish_ca(self, namespace: str) -> None:
        known = self.config_maps.get(namespace, CA_CONFIG_MAP)
        data = {"ca.crt": self.ca_pem}
        if known is None:
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": CA_CONFIG_MAP,
                    "namespace": namespace,
                    "annotations": {"kubernetes.io/description": _CA_NOTE},
                },
                "data": data,
            }
            await self._create("configmaps", body)
        elif known.get("data") != data:
            path = path_of("v1", "configmaps", namespace, CA_CONFIG_MAP)
            await self.kube.replace(path, {**known, "data": data})

    async def _create(self, plural: str, body: Object) -> None:
        try:
            await self.kube.create(path_of("v1", plural, body["metadata"]["namespace"]), body)
        except KubeError as error:
            # Someone made it before our copy showed it.
            if error.status != 409:
                raise

    async def _fill(self, key: Key) -> None:
        """One token Secret."""
        secret = self.secrets.get(*key)
        if secret is None or objects.is_deleting(secret):
            return
        name = objects.annotations_of(secret).get(ACCOUNT_NAME, "")
        account = self.accounts.get(key[0], name) or await self._ask_for_account(key[0], name)
        uid = objects.annotations_of(secret).get(ACCOUNT_UID)
        if account is None or (uid and uid != account["metadata"]["uid"]):
            await self._drop(secret)
            return
        data = dict(secret.get("data") or {})
        wanted = {"ca.crt": _encode(self.ca_pem), "namespace": _encode(key[0])}
        if uid and data.get("token") and wanted.items() <= data.items():
            return
        token = data.get("token") or _encode(await self._sign(account, secret))
        body = {
            "metadata": {
                "resourceVersion": secret["metadata"]["resourceVersion"],
                "annotations": {ACCOUNT_UID: account["metadata"]["uid"]},
            },
            "data": {**wanted, "token": token},
        }
        changed = await self.kube.patch(path_of("v1", "secrets", *key), body)
        await self.secrets.until_seen(changed)

    async def _ask_for_account(self, namespace: str, name: str) -> Object | None:
        """The account by the server's word: our copy may be behind."""
        if not name:
            return None
        try:
            return await self.kube.get(path_of("v1", "serviceaccounts", namespace, name))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def _drop(self, secret: Object) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": secret["metadata"]["uid"]},
        }
        try:
            await self.kube.delete(path_of("v1", "secrets", *key_of(secret)), body)
        except KubeError as error:
            if error.status != 404:
                raise

    async def _sign(self, account: Object, secret: Object) -> str:
        if self.signer is not None:
            return await self.signer(account, secret)
        namespace, name = key_of(account)
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [],
                "expirationSeconds": TOKEN_LIFE_S,
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "name": secret["metadata"]["name"],
                    "uid": secret["metadata"]["uid"],
                },
            },
        }
        path = path_of("v1", "serviceaccounts", namespace, name, "token")
        answer = await self.kube.create(path, request)
        return str(answer["status"]["token"])


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
