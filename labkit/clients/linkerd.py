"""Drives a `linkerd` command, the real one or the embedded cloud's: the same calls for both.

Every method runs one command and returns a value; manifests come back as text and are applied by
whoever asked. The version decides which commands exist (`profile`). Deliberately absent: applying,
waiting and the download of the command.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from labkit.clients import linkerd_values as values
from labkit.clients.command import Completed, Recorder, run
from labkit.clients.linkerd_values import (
    CheckOutcome,
    CheckReport,
    Edge,
    Gateway,
    JsonStream,
    Profile,
    Stat,
    profile_of,
)
from labkit.clients.tap import TapJoiner, TapRequest
from labkit.errors import CommandError, StateError

__all__ = [
    "CheckOutcome",
    "CheckReport",
    "Edge",
    "Gateway",
    "Linkerd",
    "Profile",
    "Stat",
    "TapRequest",
]

_INJECTED = "linkerd.io/inject"
_QUICK_S = 30.0
_RENDER_S = 60.0
_CHECK_WAIT_S = 60.0
_CHECK_MARGIN_S = 30.0
"""`check` prints nothing before its own wait is over."""

CheckMode = Literal["core", "pre", "crds", "proxy"]


class Linkerd:
    """The `linkerd` command, pointed at one cluster.

    Args:
        command: the program, with leading arguments if need be.
        kubeconfig: the lab's kubeconfig.
        context: `west` or `east`.
        record: receives the equivalent shell line of every command.

    Example:
        >>> west = Linkerd(("linkerd",), kubeconfig=folder.kubeconfig, context="west")
        >>> west.version()
        'edge-26.6.3'
    """

    def __init__(
        self,
        command: Sequence[str] = ("linkerd",),
        *,
        kubeconfig: Path,
        context: str,
        record: Recorder | None = None,
    ) -> None:
        self.command = tuple([command] if isinstance(command, str) else command)
        self.kubeconfig = kubeconfig
        self.context = context
        self.record = record

    def _run(
        self,
        *arguments: str,
        timeout_s: float = _QUICK_S,
        stdin: str = "",
        check: bool = True,
        fix: str = "",
    ) -> Completed:
        return run(
            [*self.command, f"--context={self.context}", *arguments],
            shown_as=["linkerd", f"--context={self.context}", *arguments],
            timeout_s=timeout_s,
            env=self._environment,
            stdin=stdin,
            check=check,
            fix=fix or f"linkerd --context={self.context} check",
            record=self.record,
        )

    @property
    def _environment(self) -> Mapping[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1"}

    # ---- version --------------------------------------------------------------------------------

    @cached_property
    def _version(self) -> str:
        output = run(
            [*self.command, "version", "--client", "--short"],
            timeout_s=_QUICK_S,
            env=self._environment,
            fix="labkit tools install linkerd",
        ).stdout
        return output.strip()

    def version(self) -> str:
        """The command's own version, as `edge-26.6.3`.

        Raises:
            CommandError: there is no such command.
        """
        return self._version

    @property
    def profile(self) -> Profile:
        """The newest way of linking that this version knows."""
        return profile_of(self._version)

    # ---- checks ---------------------------------------------------------------------------------

    def check(
        self,
        mode: CheckMode = "core",
        *,
        extension: Literal["", "multicluster", "viz"] = "",
        wait_s: float = _CHECK_WAIT_S,
    ) -> CheckReport:
        """`linkerd check`, or the check of one extension.

        `multicluster check` succeeds when there is no Link at all: look for Links yourself.

        Args:
            mode: `core` (with all extensions), `pre` (before an install), `crds` or `proxy`.
            extension: check this extension only.
            wait_s: how long checks that may still become true are repeated.

        Raises:
            CommandError: no report at all: no cluster, or the extension is not installed.
        """
        words = [extension, "check"] if extension else ["check"]
        if mode != "core":
            words.append(f"--{mode}")
        result = self._run(
            *words,
            "--output=json",
            f"--wait={wait_s:.0f}s",
            # Extensions are checked one after the other, and nothing is printed before the end.
            timeout_s=3 * wait_s + _CHECK_MARGIN_S,
            check=False,
        )
        report = values.check_report(result.stdout)
        if report is None:
            raise CommandError(
                result.argv, returncode=result.returncode, stderr=result.stderr or result.stdout
            )
        return report

    # ---- manifests ------------------------------------------------------------------------------

    def install_crds(self, *, install_gateway_api: bool = False) -> str:
        """`linkerd install --crds` as YAML.

        Args:
            install_gateway_api: let Linkerd bring the Gateway API, where the cluster has none.

        Raises:
            CommandError: already installed, or the Gateway API is missing (2.18 and later).
        """
        flags = _sets({"installGatewayAPI": "true"}) if install_gateway_api else []
        return self._run("install", "--crds", *flags, timeout_s=_RENDER_S).stdout

    def install(
        self,
        *,
        anchors: Path,
        issuer: Path,
        issuer_key: Path,
        settings: Mapping[str, str] | None = None,
    ) -> str:
        """`linkerd install` with an identity of ours, as YAML, for this cluster only.

        Raises:
            CommandError: already installed, or the issuer does not fit the anchors.
        """
        return self._run(
            "install",
            f"--identity-trust-anchors-file={anchors}",
            f"--identity-issuer-certificate-file={issuer}",
            f"--identity-issuer-key-file={issuer_key}",
            *_sets(settings),
            timeout_s=_RENDER_S,
        ).stdout

    def viz_install(self, *, settings: Mapping[str, str] | None = None) -> str:
        """`linkerd viz install` as YAML; every rendering makes new certificates for tap."""
        return self._run("viz", "install", *_sets(settings), timeout_s=_RENDER_S).stdout

    def multicluster_install(
        self,
        *,
        controllers: Sequence[str] = (),
        gateway: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> str:
        """`linkerd multicluster install` as YAML.

        Args:
            controllers: names of the clusters this one links to, where `link-gen` is used; the
                older `link` brings its own controller.
            gateway: whether this cluster lets others in.
            settings: more values, as `{"gateway.serviceType": "NodePort"}`.
        """
        named = {f"controllers[{i}].link.ref.name": name for i, name in enumerate(controllers)}
        return self._run(
            "multicluster",
            "install",
            f"--gateway={'true' if gateway else 'false'}",
            *_sets({**named, **(settings or {})}),
            timeout_s=_RENDER_S,
        ).stdout

    def link(
        self, cluster_name: str, *, profile: Profile | None = None, api_server_address: str = ""
    ) -> str:
        """What lets a source cluster link to this one, as YAML; to be applied to the source.

        Args:
            cluster_name: this cluster's name in the source, which is also the mirrors' suffix.
            profile: `current` (`link-gen`) or `tutorial` (`link`); None takes the best there is.
            api_server_address: URL of this cluster's API as seen from the source.

        Raises:
            CommandError: the gateway has no address yet, or the credentials are not filled in.
        """
        newest = (profile or self.profile) == "current" and self.profile == "current"
        address = [f"--api-server-address={api_server_address}"] if api_server_address else []
        return self._run(
            "multicluster",
            "link-gen" if newest else "link",
            f"--cluster-name={cluster_name}",
            *address,
            fix=f"wait for the address: kubectl --context={self.context} -n linkerd-multicluster "
            "get svc linkerd-gateway",
        ).stdout

    # ---- what `kubectl delete` takes ----------------------------------------------------------

    def unlink(self, cluster_name: str) -> str:
        """`linkerd multicluster unlink`: the Link, its credentials and mirrors, as YAML."""
        return self._run("multicluster", "unlink", f"--cluster-name={cluster_name}").stdout

    def multicluster_uninstall(self) -> str:
        """`linkerd multicluster uninstall` as YAML; refused while there are Links."""
        return self._run("multicluster", "uninstall").stdout

    def viz_uninstall(self) -> str:
        """`linkerd viz uninstall` as YAML."""
        return self._run("viz", "uninstall").stdout

    def uninstall(self) -> str:
        """`linkerd uninstall` as YAML; refused while extensions or meshed pods are there."""
        return self._run("uninstall").stdout

    def inject(self, manifest: str) -> str:
        """The manifest with `linkerd.io/inject: enabled` on its workloads, as YAML.

        Raises:
            StateError: nothing was injected (the command itself ends with 0 then).
        """
        done = self._run("inject", "-", stdin=manifest)
        if _INJECTED not in done.stdout:
            raise StateError("linkerd injected nothing", seen=done.stderr.strip())
        return done.stdout

    # ---- observation ----------------------------------------------------------------------------

    def gateways(self) -> tuple[Gateway, ...]:
        """`linkerd multicluster gateways`; empty when there are none (or none answers)."""
        words = ("multicluster", "gateways")
        if not values.tells_gateways_as_json(self.version()):
            return values.gateways_table(self._run(*words).stdout)
        return values.gateways(self._run(*words, "--output=json").stdout)

    def edges(self, kind: str, namespace: str) -> tuple[Edge, ...]:
        """`linkerd viz edges`; edges to another cluster never appear."""
        return values.edges(
            self._run("viz", "edges", kind, f"--namespace={namespace}", "--output=json").stdout
        )

    def stat(self, resource: str, namespace: str, *, window_s: int = 60) -> tuple[Stat, ...]:
        """`linkerd viz stat` of `deploy` or `deploy/web` over a window of at least 15 s."""
        return values.stats(
            self._run(
                "viz",
                "stat",
                resource,
                f"--namespace={namespace}",
                f"--time-window={window_s}s",
                "--output=json",
            ).stdout
        )

    def proxy_metrics(self, resource: str, namespace: str) -> str:
        """`linkerd diagnostics proxy-metrics`: Prometheus text of each proxy of a workload.

        Raises:
            StateError: no proxy answered (the command itself ends with 0 then).
        """
        text = self._run(
            "diagnostics", "proxy-metrics", f"--namespace={namespace}", resource
        ).stdout
        if not any(line and not line.startswith("#") for line in text.splitlines()):
            raise StateError(f"No proxy of {namespace}/{resource} told its metrics", seen=text)
        return text

    def tap(
        self,
        resource: str,
        namespace: str,
        *,
        n: int | None = None,
        duration_s: float = 30.0,
        to: str = "",
        path: str = "",
        method: str = "",
        authority: str = "",
        max_rps: int = 0,
        ended: Callable[[], bool] = lambda: False,
    ) -> tuple[TapRequest, ...]:
        """`linkerd viz tap` for a while: a sample of requests with their times.

        Args:
            resource: as `deploy/vote-bot`.
            namespace: of the resource.
            n: end after this many complete requests; None samples all the time.
            duration_s: end after this many seconds.
            to: only requests to this resource, as `svc/web-svc`.
            path: only paths that begin so.
            method: only this HTTP method.
            authority: only this authority.
            max_rps: the tap's own limit on each proxy, 0 for its default of 100.
            ended: asked at least every half second; true ends the tap before its time.

        Raises:
            CommandError: tap refused or ended by itself (pods created before viz cannot be tapped).
        """
        stream, joiner = JsonStream(), TapJoiner()

        def enough(piece: bytes) -> bool:
            for event in stream.feed(piece):
                joiner.add(event)
            return ended() or (n is not None and len(joiner.done) >= n)

        filters = {"to": to, "path": path, "method": method, "authority": authority}
        flags = [f"--{name}={value}" for name, value in filters.items() if value]
        flags += [f"--max-rps={max_rps}"] if max_rps else []
        self._tap(resource, namespace, *flags, duration_s=duration_s, until=enough)
        return joiner.requests()[:n] if n is not None else joiner.requests()

    def follow_tap(
        self,
        resource: str,
        namespace: str,
        *,
        seen: Callable[[Sequence[TapRequest]], bool],
        duration_s: float,
    ) -> None:
        """`linkerd viz tap` as a stream, until the caller has enough.

        Args:
            resource: as `deploy/vote-bot`.
            namespace: of the resource.
            seen: is given the requests that have ended, as they come, and none every half second
                in which nothing comes; True ends the stream.
            duration_s: end after this many seconds.

        Raises:
            CommandError: as for `tap`.
        """
        stream, joiner = JsonStream(), TapJoiner()

        def enough(piece: bytes) -> bool:
            for event in stream.feed(piece):
                joiner.add(event)
            ended, joiner.done = joiner.done, []
            return seen(ended)

        self._tap(resource, namespace, duration_s=duration_s, until=enough)

    def _tap(
        self,
        resource: str,
        namespace: str,
        *flags: str,
        duration_s: float,
        until: Callable[[bytes], bool],
    ) -> None:
        words = ["viz", "tap", resource, f"--namespace={namespace}", "--output=json", *flags]
        run(
            [*self.command, f"--context={self.context}", *words],
            shown_as=["linkerd", f"--context={self.context}", *words],
            timeout_s=duration_s,
            env=self._environment,
            until=until,
            record=self.record,
            fix="restart pods that are older than viz: kubectl rollout restart deploy",
        )


def _sets(settings: Mapping[str, str] | None) -> list[str]:
    return [f"--set={path}={value}" for path, value in (settings or {}).items()]
