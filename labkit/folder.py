"""The lab's folder: everything labkit keeps about one lab, and nothing outside it.

`$LABKIT_HOME/<lab name>` (default `~/.labkit/<lab name>`): parameters, kubeconfig, certificates,
commands for PATH, and the embedded cloud's state. The user's own kubeconfig is never touched.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.certs import write_private
from labkit.errors import StateError
from labkit.params import Params


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Where labs live: `LABKIT_HOME`, or `~/.labkit`."""
    return Path(environ.get("LABKIT_HOME") or Path.home() / ".labkit").expanduser().resolve()


@dataclass(frozen=True)
class LabFolder:
    """Paths of one lab."""

    root: Path

    @classmethod
    def of(cls, lab_name: str) -> "LabFolder":
        """The folder of a lab by name; it need not exist yet."""
        return cls(home() / lab_name)

    @property
    def params_file(self) -> Path:
        """The parameters the lab was created with, JSON."""
        return self.root / "lab.json"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig with the contexts `west` and `east` (0600)."""
        return self.root / "kubeconfig"

    @property
    def certificates(self) -> Path:
        """root.crt, root.key, issuer.crt, issuer.key."""
        return self.root / "certs"

    @property
    def commands(self) -> Path:
        """`kubectl` and, on the embedded cloud, `linkerd`: goes first on PATH."""
        return self.root / "bin"

    @property
    def cloud_state(self) -> Path:
        """State of the embedded cloud."""
        return self.root / "cloud"

    @property
    def cache(self) -> Path:
        """Discovery caches of clients."""
        return self.root / "cache"

    @property
    def costs(self) -> Path:
        """The meter: what the lab has had that has a price, JSON."""
        return self.root / "costs.json"

    @property
    def progress_file(self) -> Path:
        """Where the learner stands, JSON; made to be shown to others."""
        return self.root / "progress.json"

    @property
    def sharing_file(self) -> Path:
        """With whom the learner shares that, and the credentials for it, JSON (0600)."""
        return self.root / "sharing.json"

    def installed(self, cluster: str) -> Path:
        """What the lab has put into a cluster of the user's, JSON."""
        return self.root / f"installed-{cluster}.json"

    @property
    def chapters_file(self) -> Path:
        """What chapters keep for later ones, JSON."""
        return self.root / "chapters.json"

    def prepare(self) -> None:
        """Create the folder, readable by its owner only.

        Raises:
            StateError: it cannot be written.
        """
        try:
            for folder in (self.root, self.certificates, self.commands, self.cache):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StateError:
        return StateError(
            f"The lab's folder {self.root} cannot be written",
            seen=error.strerror or str(error),
            fix="free space, or point LABKIT_HOME to a folder you can write",
        )

    def read_params(self) -> Params | None:
        """The parameters of the lab, None when there is no such lab.

        Raises:
            StateError: the file is damaged or cannot be read.
        """
        try:
            return Params.model_validate_json(self.params_file.read_text(), strict=True)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise StateError(
                f"The lab's own parameters in {self.params_file} cannot be read",
                seen=str(error),
                fix="remove that file and run `labkit up`: it finds what runs already",
            ) from error

    def write_params(self, params: Params) -> None:
        """Keep the parameters of the lab; consent to its cost is not kept, but given anew.

        Raises:
            StateError: the folder cannot be written.
        """
        self.prepare()
        try:
            kept = params.model_copy(update={"approve_cost": False})
            write_private(self.params_file, kept.model_dump_json(indent=1).encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def recall(self) -> dict[str, Any]:
        """What chapters kept."""
        try:
            kept = json.loads(self.chapters_file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def remember(self, **facts: object) -> None:
        """Keep facts for later chapters."""
        kept = {**self.recall(), **facts}
        write_private(self.chapters_file, json.dumps(kept, indent=1).encode())

    def forget(self, *names: str) -> None:
        """Drop facts that chapters kept."""
        kept = {name: value for name, value in self.recall().items() if name not in names}
        if self.chapters_file.exists():
            write_private(self.chapters_file, json.dumps(kept, indent=1).encode())


def known_labs() -> list[str]:
    """Names of the labs that have a folder."""
    root = home()
    if not root.is_dir():
        return []
    return sorted(path.parent.name for path in root.glob("*/lab.json"))
