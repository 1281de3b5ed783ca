"""The embedded cloud: DigitalOcean's wire, served by background processes on this machine.

It is started by its command line; nothing of it is imported here.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.wan import WanApi
from labkit.clouds import commands, machine
from labkit.clouds.audit import Audit
from labkit.clouds.cores import CoreTimes, core_times
from labkit.clouds.costs import Charge, Quote
from labkit.clouds.digitalocean import DigitalOceanCloud
from labkit.clouds.embedded_wan import EmbeddedWan
from labkit.clouds.interface import Report
from labkit.clouds.prerequisites import Prerequisite
from labkit.clouds.wan import WanControl
from labkit.errors import CloudError, StateError
from labkit.folder import LabFolder
from labkit.params import Params
from labkit.rtt import all_pairs, default_jitter_ms, rtt


class EmbeddedCloud(DigitalOceanCloud):
    """The local cloud: the same wire, in background processes on this machine."""

    name = "embedded"
    bills = False
    creation_takes = "about 2 s"

    def __init__(self, params: Params, folder: LabFolder) -> None:
        super().__init__(params, folder)
        self.linkerd_command = (str(folder.commands / "linkerd"),)
        self._wan_control: EmbeddedWan | None = None

    def secrets(self) -> list[str]:
        """The token of the embedded account."""
        try:
            return [self._token_file.read_text().strip()]
        except OSError:  # not started yet, or torn down
            return []

    @property
    def _token_file(self) -> Path:
        return self._folder.cloud_state / "token"

    def _connect(self) -> DigitalOcean:
        return DigitalOcean(**self._door())

    def wan(self) -> WanControl | None:
        """The relay between the lab's two regions.

        Raises:
            StateError: the cloud does not run.
        """
        if self._wan_control is None:
            pair = (self._params.west_region, self._params.east_region)
            self._wan_control = EmbeddedWan(WanApi(**self._door()), pair)
        return self._wan_control

    def core_times(self) -> CoreTimes:
        """This machine's: everything runs on it."""
        return core_times()

    def _door(self) -> dict[str, Any]:
        """Endpoint, authority and token of the running cloud."""
        facts = self.status()
        if not facts.get("running"):
            raise StateError(
                f"The embedded cloud of lab {self._params.lab_name} is not running",
                fix="run `labkit up`",
            )
        return {
            "token": self._token_file.read_text().strip(),
            "endpoint": facts["endpoint"],
            "ca_file": Path(facts["ca_file"]),
        }

    def start(self) -> bool:
        """Start the daemon and write the `linkerd` command."""
        self._folder.prepare()
        if not self._folder.cloud_state.exists():
            self._records.clear()  # it is of an account that was removed by hand
        self._folder.cloud_state.mkdir(exist_ok=True, mode=0o700)
        wan = self._folder.root / "wan.json"
        wan.write_text(json.dumps(self._wan()))
        _write_launcher(self._folder.commands / "linkerd", "labkit.embedded.linkerd")
        facts = self._daemon("start", "--grouping", self._params.proxy_grouping, "--wan", str(wan))
        self._client = self._wan_control = None
        return not facts["already"]

    def prerequisites(self) -> tuple[Prerequisite, ...]:
        """What it needs of this machine; its account is asked once it runs."""
        here = (
            commands.linkerd(self.linkerd_command, comes_with_cloud=True),
            *machine.of_the_machine(self._params.proxy_grouping),
        )
        if not self._folder.cloud_state.exists() or not self.status().get("running"):
            return here
        return (*here, *self._of_the_account())

    def _wan(self) -> dict[str, Any]:
        """Round-trip times of every pair of regions; the override is for the lab's own pair."""
        params = self._params
        own = frozenset((params.west_region, params.east_region))
        pairs = [
            {"a": a, "b": b, "rtt_ms": known.value_ms}
            for (a, b), known in all_pairs().items()
            if frozenset((a, b)) != own
        ]
        value = rtt(params.west_region, params.east_region, override_ms=params.wan_rtt_ms).value_ms
        pairs.append({"a": params.west_region, "b": params.east_region, "rtt_ms": value})
        jitter = params.wan_jitter_ms
        return {
            "seed": params.seed,
            "jitter_ms": default_jitter_ms(value) if jitter is None else jitter,
            "jitter_law": params.wan_jitter_law,
            "loss": params.wan_loss,
            "pairs": pairs,
        }

    def quote(self) -> Quote:
        """The same arithmetic, but nothing is billed."""
        if not self.status().get("running"):
            self.start()
        return super().quote()

    def charges(self) -> tuple[Charge, ...]:
        """As at DigitalOcean; a stopped cloud has none."""
        return super().charges() if self.status().get("running") else ()

    def stop(self) -> dict[str, Any]:
        """End the daemon and everything it started, whatever state it is in."""
        self._client = self._wan_control = None
        stopped = self._daemon("stop", "--forget")  # it may run though its folder is gone
        self._records.clear()  # the account itself is gone
        return stopped

    def status(self) -> dict[str, Any]:
        """Whether the daemon runs, and its processes."""
        if not self._folder.cloud_state.exists():
            return {"running": False, "processes": []}
        return self._daemon("status")

    def audit(self) -> Audit:
        """What its account has of the lab; a stopped cloud has nothing."""
        return super().audit() if self.status().get("running") else Audit()

    def delete_clusters(self, report: Report) -> list[str]:
        """Delete the clusters; a cloud that does not run has nothing to delete but its state."""
        return super().delete_clusters(report) if self.status().get("running") else []

    def _daemon(self, command: str, *options: str) -> dict[str, Any]:
        argv = [sys.executable, "-m", "labkit.embedded", command]
        argv += ["--state", str(self._folder.cloud_state), *options]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            facts: dict[str, Any] = json.loads(done.stdout)
            return facts
        try:
            problem = json.loads(done.stderr.strip().splitlines()[-1])
        except (ValueError, IndexError):
            problem = {
                "what": f"The embedded cloud could not {command}",
                "seen": done.stderr[-200:],
            }
        raise CloudError(
            problem["what"], seen=problem.get("seen", ""), fix=problem.get("fix", "")
        ) from None


def _write_launcher(path: Path, module: str) -> None:
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
    path.chmod(0o700)
