"""Round-trip times between DigitalOcean's regions, each with its source and its uncertainty.

DigitalOcean publishes no matrix. A packaged table holds pairs of its metros as other backbones
measured them (docs/data-sources.md); any other pair gets a model over the great circle. Nothing
here is measured by labkit, and no figure comes without saying where it is from.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Literal

from labkit.errors import InputError

FIBRE_KM_PER_MS = 200.0
"""Light in glass fibre: about two thirds of c."""

MODEL_BASE_MS = 5.0
MODEL_STRETCH = 1.5
"""Model: 5 ms for routers and access, 1.5 times the great circle for real cable routes."""

DEFAULT_JITTER_SHARE = 0.003
"""Jitter of a private backbone is 0.1 to 0.5 % of the round trip; the middle."""

ATTRIBUTION = (
    "Microsoft Azure, round-trip statistics, P95 over 30 days to 2026-07-30 (CC BY 4.0)",
    "AWS, averages over VPC peering, 2019-06; IBM Cloud, averages, 2024-09",
    "WonderNetwork, medians of 2020-07",
)
"""Whose figures the table is made of, as their licences ask: docs/data-sources.md."""

_EARTH_RADIUS_KM = 6371.0
_UNCERTAINTY = {"high": 0.10, "medium": 0.20, "low": 0.30}

MODEL_UNCERTAINTY = _UNCERTAINTY["low"]
"""Relative half-width to draw with a figure of the model."""

Confidence = Literal["high", "medium", "low", "given"]


@dataclass(frozen=True)
class Region:
    """A DigitalOcean region.

    Attributes:
        slug: DigitalOcean's name, as `sfo3`.
        city: for people.
        metro: key of the table; regions of one city share it.
        latitude: degrees north.
        longitude: degrees east.
    """

    slug: str
    city: str
    metro: str
    latitude: float
    longitude: float


def _regions() -> dict[str, Region]:
    places = (
        ("nyc1 nyc3", "New York", "nyc", 40.7128, -74.0060),
        ("sfo2 sfo3", "San Francisco", "sfo3", 37.7749, -122.4194),
        ("tor1", "Toronto", "tor1", 43.6532, -79.3832),
        ("lon1", "London", "lon1", 51.5074, -0.1278),
        ("ams3", "Amsterdam", "ams3", 52.3676, 4.9041),
        ("fra1", "Frankfurt", "fra1", 50.1109, 8.6821),
        ("blr1", "Bangalore", "blr1", 12.9716, 77.5946),
        ("sgp1", "Singapore", "sgp1", 1.3521, 103.8198),
        ("syd1", "Sydney", "syd1", -33.8688, 151.2093),
    )
    return {
        slug: Region(slug, city, metro, latitude, longitude)
        for slugs, city, metro, latitude, longitude in places
        for slug in slugs.split()
    }


REGIONS: Mapping[str, Region] = _regions()


@dataclass(frozen=True)
class Rtt:
    """A round-trip time and what it is worth.

    Attributes:
        value_ms: the round trip in ms.
        source: `table` (packaged data), `model` (great circle) or `override` (the user's).
        confidence: of the table's row; `low` for the model, `given` for an override.
        uncertainty: relative half-width to draw, 0.1 is ±10 %; 0 for an override.
        floor_ms: light in fibre over the great circle and back; nothing real is below it.
        provenance: one line for a caption.
    """

    value_ms: float
    source: Literal["table", "model", "override"]
    confidence: Confidence
    uncertainty: float
    floor_ms: float
    provenance: str

    @property
    def low_ms(self) -> float:
        """Lower end of the uncertainty in ms, never below the light floor unless given so."""
        low = self.value_ms * (1 - self.uncertainty)
        return low if self.source == "override" else max(low, min(self.floor_ms, self.value_ms))

    @property
    def high_ms(self) -> float:
        """Upper end of the uncertainty in ms."""
        return self.value_ms * (1 + self.uncertainty)

    @property
    def below_floor(self) -> bool:
        """Whether light in fibre could not do this: only an override can say so."""
        return self.value_ms < self.floor_ms


def region(slug: str) -> Region:
    """Return a region by its slug.

    Raises:
        InputError: no such region.
    """
    try:
        return REGIONS[slug]
    except KeyError:
        raise InputError(f"Unknown region `{slug}`", fix=f"one of {' '.join(REGIONS)}") from None


def great_circle_km(a: str, b: str) -> float:
    """Return the distance between two regions' cities over the great circle in km."""
    one, two = region(a), region(b)
    lat1, lat2 = math.radians(one.latitude), math.radians(two.latitude)
    half_lat = (lat2 - lat1) / 2
    half_lon = math.radians(two.longitude - one.longitude) / 2
    h = math.sin(half_lat) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(half_lon) ** 2
    return 2 * _EARTH_RADIUS_KM * math.asin(math.sqrt(h))


def floor_ms(a: str, b: str) -> float:
    """Return the round trip of light in fibre over the great circle in ms."""
    return 2 * great_circle_km(a, b) / FIBRE_KM_PER_MS


def rtt(a: str, b: str, *, override_ms: float | None = None) -> Rtt:
    """Return the round-trip time of a pair of regions: override first, table second, then model.

    Args:
        a: region slug.
        b: region slug; the order does not matter.
        override_ms: the user's own figure in ms.

    Raises:
        InputError: an unknown region, or a negative override.

    Example:
        >>> rtt("sfo3", "syd1").value_ms
        145.9
    """
    floor = floor_ms(a, b)
    if override_ms is not None:
        if not math.isfinite(override_ms) or override_ms < 0:
            raise InputError(f"A round trip of {override_ms} ms is not possible")
        return Rtt(override_ms, "override", "given", 0.0, floor, "given by the user")
    row = _table().get(frozenset((region(a).metro, region(b).metro)))
    if row is not None:
        value, confidence, provenance = row
        return Rtt(value, "table", confidence, _UNCERTAINTY[confidence], floor, provenance)
    provenance = f"model: {MODEL_BASE_MS:g} ms + {MODEL_STRETCH:g} x {floor:.1f} ms light floor"
    value = round(MODEL_BASE_MS + MODEL_STRETCH * floor, 1)
    return Rtt(value, "model", "low", _UNCERTAINTY["low"], floor, provenance)


def model_ms(a: str, b: str) -> float:
    """Return the model's figure in ms, also for pairs that the table holds (to compare)."""
    return MODEL_BASE_MS + MODEL_STRETCH * floor_ms(a, b)


def default_jitter_ms(rtt_ms: float) -> float:
    """Return the jitter (standard deviation, ms) of a private backbone with this round trip."""
    return DEFAULT_JITTER_SHARE * rtt_ms


def all_pairs() -> dict[tuple[str, str], Rtt]:
    """Return the round trip of every pair of different regions, each pair once."""
    return {(a, b): rtt(a, b) for a, b in combinations(REGIONS, 2)}


_SOURCES = {
    "azure_p95_2026_07": "Azure P95 2026-07",
    "aws_vpc_avg_2019_06": "AWS VPC 2019-06",
    "ibm_avg_2024_09": "IBM 2024-09",
    "wondernetwork_avg_2020_07": "WonderNetwork 2020-07",
}


@cache
def _table() -> Mapping[frozenset[str], tuple[float, Literal["high", "medium", "low"], str]]:
    text = (files("labkit") / "data" / "rtt.csv").read_text(encoding="utf-8")
    table: dict[frozenset[str], tuple[float, Literal["high", "medium", "low"], str]] = {}
    levels: dict[str, Literal["high", "medium", "low"]] = {
        "high": "high",
        "medium": "medium",
        "low": "low",
    }
    for row in csv.DictReader(text.splitlines()):
        seen = [f"{label} {row[column]}" for column, label in _SOURCES.items() if row[column]]
        pair = frozenset((row["a"], row["b"]))
        provenance = f"table: median of {', '.join(seen)} ms"
        table[pair] = (float(row["suggested_rtt_ms"]), levels[row["confidence"]], provenance)
    return table
