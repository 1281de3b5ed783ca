"""Takes the notebooks and params files into a wheel; an editable install reads the clone's."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PATTERNS = {"notebooks": "*.ipynb", "params": "*.*"}


class Materials(BuildHookInterface[Any]):
    """What `labkit init` and `labkit run` take where there is no clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them to a wheel below `labkit/data`."""
        if version == "editable":
            return
        for folder, pattern in PATTERNS.items():
            for path in sorted((Path(self.root) / folder).glob(pattern)):
                build_data["force_include"][str(path)] = f"labkit/data/{folder}/{path.name}"
