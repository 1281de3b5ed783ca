"""The points of a sweep: pairs of regions × repetitions, each with its own parameters.

A point is known by the digest of its parameters, so that a sweep finds what it has done already
whatever the order. Repetitions have seeds of their own: the same seed would repeat the same
jitter, and the repetitions would not be independent.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.errors import InputError
from labkit.params import Params

MAX_POINTS = 10_000
MAX_REPETITIONS = 1_000
LAB_PREFIX = "sweep-"
CONSENT = {"approve_cost", "max_cost_usd"}
"""Whether a point may be run, not what it is: no part of its digest."""


Pair = tuple[str, str]


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        params: of its lab, whose name is its own.
        digest: of the parameters, hexadecimal.
    """

    params: Params
    digest: str

    @property
    def name(self) -> str:
        """For people and folders, as `sfo3-syd1-r1`."""
        params = self.params
        return f"{params.west_region}-{params.east_region}-r{params.repetition}"


@dataclass(frozen=True)
class SweepSpec:
    """What is to be run.

    Attributes:
        pairs: west and east of each.
        repetitions: how often each.
        seed: of the order.
        base: parameters of all points but regions, name and seed.
        skipped: regions of the cross product that met themselves.
    """

    pairs: tuple[Pair, ...]
    repetitions: int
    seed: int
    base: Params
    skipped: tuple[str, ...] = ()

    def points(self) -> list[Point]:
        """All points in the order in which they are run."""
        found = [
            point(self.base, pair, repetition)
            for pair in self.pairs
            for repetition in range(1, self.repetitions + 1)
        ]
        random.Random(self.seed).shuffle(found)  # noqa: S311 - an order, not a secret
        return found


def point(base: Params, pair: Pair, repetition: int) -> Point:
    """One point: the base with its regions, its seed and a lab name made of its digest."""
    west, east = pair
    values = base.model_dump(exclude={"lab_name"}) | {
        "west_region": west,
        "east_region": east,
        "repetition": repetition,
        "seed": (base.seed + repetition - 1) % 2**32,
    }
    identity = {key: value for key, value in values.items() if key not in CONSENT}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return Point(Params(lab_name=f"{LAB_PREFIX}{digest[:12]}", **values), digest)


def cross(west: Sequence[str], east: Sequence[str]) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """The cross product without pairs of one region; those are returned beside it."""
    pairs = [(a, b) for a in west for b in east if a != b]
    return tuple(dict.fromkeys(pairs)), tuple(a for a in dict.fromkeys(west) if a in east)


def checked(spec: SweepSpec) -> SweepSpec:
    """The same, when it can be run at all.

    Raises:
        InputError: no pair is left, too many points, or clusters that are where they are.
    """
    problems = []
    if not spec.pairs:
        met = f": {', '.join(spec.skipped)} met only themselves" if spec.skipped else ""
        problems.append(f"no pair of two different regions is left{met}")
    if len(spec.pairs) * spec.repetitions > MAX_POINTS:
        problems.append(f"{len(spec.pairs) * spec.repetitions} points; at most {MAX_POINTS}")
    if spec.base.west_context is not None and len(spec.pairs) > 1:
        problems.append(
            "params: west_context and east_context are two clusters that stand where they stand: "
            f"one pair of regions, not {len(spec.pairs)}"
        )
    if problems:
        raise InputError("The sweep cannot be run", problems=problems)
    return spec
