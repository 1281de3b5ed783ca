"""The table of round trips between regions, as whoever starts the cloud gives it.

It deliberately holds no figures of its own: a pair that is not in the table is an error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.embedded.network.relay_pipes import RouteSpec
from labkit.errors import InputError

SAME_REGION_RTT_MS = 0.5
_KEYS = {"seed", "jitter_ms", "loss", "pairs"}


@dataclass(frozen=True)
class WanConfig:
    """Round trips between regions."""

    pairs: Mapping[frozenset[str], float]
    """Milliseconds by unordered pair of regions."""
    jitter_ms: float = 0.0
    loss: float = 0.0
    seed: int = 7

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "WanConfig":
        """Read ``{"seed", "jitter_ms", "loss", "pairs": [{"a", "b", "rtt_ms"}]}``.

        Raises:
            InputError: with every problem.
        """
        problems = [f"unknown key {key!r}" for key in sorted(set(body) - _KEYS)]
        pairs: dict[frozenset[str], float] = {}
        for index, pair in enumerate(body.get("pairs") or []):
            try:
                rtt = float(pair["rtt_ms"])
                pairs[frozenset((str(pair["a"]), str(pair["b"])))] = rtt
            except (KeyError, TypeError, ValueError) as error:
                problems.append(f"pairs[{index}] needs a, b and rtt_ms: {error!r}")
        values = {key: body[key] for key in ("jitter_ms", "loss", "seed") if key in body}
        try:
            RouteSpec(id="check", targets=(), **values)
        except (TypeError, ValueError) as error:
            problems.append(str(error))
        if problems:
            raise InputError("The round-trip table cannot be used", problems=problems)
        return cls(pairs=pairs, **values)

    @classmethod
    def read(cls, path: Path) -> "WanConfig":
        """Read the JSON file given by whoever starts the cloud.

        Raises:
            InputError: the file cannot be read or used.
        """
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"Cannot read the round-trip table {path}: {error}") from error
        if not isinstance(body, dict):
            raise InputError(f"The round-trip table {path} is not a JSON object")
        return cls.from_json(body)

    def rtt_ms(self, a: str, b: str) -> float:
        """Round trip between two regions; 0.5 ms inside one.

        Raises:
            InputError: the table has no such pair.
        """
        found = self.pairs.get(frozenset((a, b)))
        if found is not None:
            return found
        if a == b:
            return SAME_REGION_RTT_MS
        raise InputError(
            f"No round-trip time between {a} and {b}",
            fix="add the pair to the round-trip table",
        )
