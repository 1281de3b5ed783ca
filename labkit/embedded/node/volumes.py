"""Volumes of a pod: real folders and files below the node's data folder.

A volume is written once per pod and linked into the root of every container that mounts it, so
``/certs/tls.crt`` is ``root/"certs/tls.crt"``. Secrets, config maps, tokens and the downward API
are refreshed later, file by file and atomically, as the kubelet does. hostPath is an empty folder
of the pod, and there are deliberately no persistent volumes.
"""

import asyncio
import base64
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from labkit.certs import write_private
from labkit.embedded.node.environment import ConfigProblem, Reader, field_value

TokenSource = Callable[[str | None, int], Awaitable[str]]
"""(audience or None, seconds) → a service-account token bound to the pod."""

_REFRESHED = ("secret", "configMap", "projected", "downwardAPI")
_EMPTY = ("emptyDir", "hostPath", "ephemeral")
_TOKEN_AGE = 0.8  # share of its life after which a token is asked for anew


class MountProblem(Exception):  # noqa: N818 - the kubelet calls it FailedMount
    """A volume cannot be set up yet; the message is the kubelet's."""


class PodVolumes:
    """The volumes of one pod.

    Args:
        pod: the pod, for its spec and the downward API.
        folder: where the volumes are kept.
        read: secrets and config maps of the pod's namespace.
        token: service-account tokens for the pod.
    """

    def __init__(
        self, pod: Mapping[str, Any], folder: Path, *, read: Reader, token: TokenSource
    ) -> None:
        self._pod = pod
        self._folder = folder
        self._read = read
        self._token = token
        self._token_due: dict[Path, float] = {}

    @property
    def need_refresh(self) -> bool:
        """Whether any content can change while the pod lives."""
        return any(kind in volume for volume in self._volumes() for kind in _REFRESHED)

    def update(self, pod: Mapping[str, Any]) -> None:
        """The pod changed: labels and annotations may be in the downward API."""
        self._pod = pod

    async def write(self) -> None:
        """Write every volume, or refresh what changed.

        Raises:
            MountProblem: a source does not exist (yet).
        """
        for volume in self._volumes():
            target = self._folder / volume["name"]
            try:
                files = await self._files(volume, target)
            except ConfigProblem as problem:
                name = volume["name"]
                raise MountProblem(
                    f'MountVolume.SetUp failed for volume "{name}" : {problem}'
                ) from problem
            if files or not target.is_dir():
                await asyncio.to_thread(_write_files, target, files)

    def link(self, container: Mapping[str, Any], root: Path) -> None:
        """Mount the volumes of a container below its root."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        mounts = container.get("volumeMounts") or []
        for mount in sorted(mounts, key=lambda item: len(item["mountPath"])):
            source = self._folder / mount["name"]
            if mount.get("subPath"):
                source = source / mount["subPath"].lstrip("/")
            place = root / mount["mountPath"].strip("/")
            if ".." in place.parts or ".." in source.parts or place == root:
                raise MountProblem(f"mountPath {mount['mountPath']!r} leads out of the container")
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_symlink():
                place.unlink()
            elif place.is_dir():
                shutil.rmtree(place)
            place.symlink_to(source)

    def _volumes(self) -> list[dict[str, Any]]:
        return self._pod["spec"].get("volumes") or []

    async def _files(self, volume: Mapping[str, Any], target: Path) -> dict[str, bytes]:
        if any(kind in volume for kind in _EMPTY):
            return {}
        if "secret" in volume:
            source = {**volume["secret"], "name": volume["secret"].get("secretName")}
            return await self._from_object("secrets", source)
        if "configMap" in volume:
            return await self._from_object("configmaps", volume["configMap"])
        if "downwardAPI" in volume:
            return self._downward(volume["downwardAPI"])
        if "projected" in volume:
            return await self._projected(volume["projected"], target)
        kinds = ", ".join(sorted(set(volume) - {"name"})) or "none"
        if kinds == "none":
            return {}  # the API's default is an emptyDir
        raise ConfigProblem(f"volume kind {kinds} is not part of the embedded cloud")

    async def _projected(self, projected: Mapping[str, Any], target: Path) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for source in projected.get("sources") or []:
            if "secret" in source:
                files.update(await self._from_object("secrets", source["secret"]))
            elif "configMap" in source:
                files.update(await self._from_object("configmaps", source["configMap"]))
            elif "downwardAPI" in source:
                files.update(self._downward(source["downwardAPI"]))
            elif "serviceAccountToken" in source:
                files.update(await self._token_file(source["serviceAccountToken"], target))
        return files

    async def _token_file(self, source: Mapping[str, Any], target: Path) -> dict[str, bytes]:
        path = source.get("path") or "token"
        place = target / path
        if time.monotonic() < self._token_due.get(place, 0.0) and place.exists():
            return {}
        seconds = int(source.get("expirationSeconds") or 3600)
        token = await self._token(source.get("audience"), seconds)
        self._token_due[place] = time.monotonic() + _TOKEN_AGE * seconds
        return {path: token.encode()}

    async def _from_object(self, kind: str, source: Mapping[str, Any]) -> dict[str, bytes]:
        name = str(source.get("name") or "")
        found = await self._read(kind, name)
        if found is None:
            if source.get("optional"):
                return {}
            raise ConfigProblem(f'{kind.removesuffix("s")} "{name}" not found')
        content = {key: base64.b64decode(value) for key, value in _binary(kind, found).items()}
        if kind == "configmaps":
            content.update({k: v.encode() for k, v in (found.get("data") or {}).items()})
        items = source.get("items")
        if not items:
            return content
        missing = [item["key"] for item in items if item["key"] not in content]
        if missing and not source.get("optional"):
            raise ConfigProblem(
                f"references non-existent {kind.removesuffix('s')} key: {missing[0]}"
            )
        return {item["path"]: content[item["key"]] for item in items if item["key"] in content}

    def _downward(self, source: Mapping[str, Any]) -> dict[str, bytes]:
        return {
            item["path"]: field_value(self._pod, item["fieldRef"]["fieldPath"]).encode()
            for item in source.get("items") or []
            if "fieldRef" in item
        }


def _binary(kind: str, found: Mapping[str, Any]) -> dict[str, str]:
    return found.get("data" if kind == "secrets" else "binaryData") or {}


def _write_files(target: Path, files: Mapping[str, bytes]) -> None:
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in files.items():
        place = target / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            continue  # the API server refuses such keys; never write outside the volume
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() or place.read_bytes() != content:
            write_private(place, content)
