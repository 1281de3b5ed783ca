"""The table of round trips between regions, as whoever starts the cloud gives it.

It deliberately holds no figures of its own: a pair that is not in the table is an error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from labkit.embedded.network.relay_pipes import RouteSpec
from labkit.errors import InputError

SAME_REGION_RTT_MS = 0.5
_VALUES = ("jitter_ms", "jitter_law", "loss", "blackhole", "seed")
_KEYS = {*_VALUES, "pairs"}


@dataclass(frozen=True)
class WanConfig:
    """Round trips between regions."""

    pairs: Mapping[frozenset[str], float]
    """Milliseconds by unordered pair of regions."""
    jitter_ms: float = 0.0
    jitter_law: str = "normal"
    loss: float = 0.0
    blackhole: bool = False
    """Nothing passes between any two regions."""
    seed: int = 7

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "WanConfig":
        """Read ``{"pairs": [{"a", "b", "rtt_ms"}], …}``; `…`: the other fields, all optional.

        Raises:
            InputError: with every problem.
        """
        problems = [f"unknown key {key!r}" for key in sorted(set(body) - _KEYS)]
        pairs: dict[frozenset[str], float] = {}
        for index, pair in enumerate(pairs_of(body)):
            try:
                rtt = float(pair["rtt_ms"])
                RouteSpec(id="check", targets=(), rtt_ms=rtt)
                pairs[frozenset((str(pair["a"]), str(pair["b"])))] = rtt
            except (KeyError, TypeError, ValueError) as error:
                problems.append(f"pairs[{index}] needs a, b and rtt_ms: {error}")
        values = {key: body[key] for key in _VALUES if key in body}
        try:
            RouteSpec(id="check", targets=(), **values)
        except (TypeError, ValueError) as error:
            problems.append(str(error))
        if problems:
            raise InputError("The round-trip table cannot be used", problems=problems)
        return cls(pairs=pairs, **values)

    def to_json(self) -> dict[str, Any]:
        """The same in the form that `from_json` reads."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["pairs"] = [
            {"a": min(pair), "b": max(pair), "rtt_ms": rtt} for pair, rtt in self.pairs.items()
        ]
        return values

    def patched(self, patch: Mapping[str, Any]) -> "WanConfig":
        """The same with some values changed; `pairs` replaces only the pairs it names.

        Raises:
            InputError: with every problem.
        """
        body = self.to_json()
        return WanConfig.from_json({**body, **patch, "pairs": [*body["pairs"], *pairs_of(patch)]})

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


def pairs_of(body: Mapping[str, Any]) -> list[Any]:
    """The list of pairs of a table, as given.

    Raises:
        InputError: it is no list.
    """
    pairs = body.get("pairs") or []
    if not isinstance(pairs, list):
        raise InputError("The round-trip table cannot be used", problems=["pairs must be a list"])
    return pairs
