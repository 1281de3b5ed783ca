"""What a lab can be told: one flat, frozen model and the rules between its fields.

The model knows nothing of files, environment or flags (`loading.py` does), and it holds no
secret: tokens come from the environment only, so parameters can be printed and stored.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from labkit.rtt import REGIONS

_DNS_LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"


def did_you_mean(word: str, known: list[str]) -> str:
    """Return `; did you mean X?` when a known word is close, an empty string otherwise."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def _known_region(slug: str) -> str:
    if slug not in REGIONS:
        hint = did_you_mean(slug, list(REGIONS)) or f"; known: {' '.join(REGIONS)}"
        raise ValueError(f"unknown region `{slug}`{hint}")
    return slug


Region = Annotated[
    str, AfterValidator(_known_region), Field(json_schema_extra={"enum": list[Any](REGIONS)})
]


class Params(BaseModel):
    """The parameters of one lab. Durations and units are in the names."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        title="labkit parameters",
    )

    lab_name: str = Field("demo", pattern=_DNS_LABEL, max_length=32)
    """Name of the lab: a DNS label, used in cluster names and tags; short, to fit both."""

    cloud: Literal["embedded", "digitalocean", "existing"] = "embedded"
    """Where the clusters live; `embedded` needs no account and costs nothing."""

    west_region: Region = "sfo3"
    """DigitalOcean region of the cluster `west`, where the load starts; the tutorial's."""

    east_region: Region = "syd1"
    """DigitalOcean region of the cluster `east`, which serves; the tutorial's."""

    west_context: str | None = Field(None, min_length=1, max_length=253)
    """kubeconfig context used as `west` when cloud is `existing`; null elsewhere."""

    east_context: str | None = Field(None, min_length=1, max_length=253)
    """kubeconfig context used as `east` when cloud is `existing`; null elsewhere."""

    node_size: str = Field("s-2vcpu-4gb", pattern=r"^[a-z][a-z0-9_.-]*$", max_length=64)
    """Size slug of a node; three of the default carry Linkerd, viz and emojivoto at 1/4 price."""

    node_count: int = Field(3, ge=0, le=20)
    """Nodes per cluster; 3 as in the tutorial, so that listings look alike; 0 on embedded only."""

    kubernetes_version: str = Field("latest", pattern=r"^(latest|\d+\.\d+(\.\d+(-do\.\d+)?)?)$")
    """`latest`, or a version DigitalOcean offers such as 1.36.2-do.0; the cloud resolves it."""

    east_api_address: str | None = Field(None, pattern=r"^https://[^\s/]+/?$", max_length=253)
    """Cloud `existing` only: URL of east's API server as west's cluster sees it; null: as here."""

    linkerd_profile: Literal["auto", "current", "tutorial"] = "auto"
    """`current`: controllers and link-gen; `tutorial`: 2.13's `link`; `auto`: as `linkerd` can."""

    emojivoto_tag: str = Field("v11", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")
    """Image tag of emojivoto; v11 is the release whose behaviour the checks describe."""

    proxy_grouping: Literal["pod", "cluster"] = "pod"
    """Embedded only: one Envoy per pod as in Linkerd, or one per cluster to save memory."""

    measure_seconds: int = Field(60, ge=5, le=18_000)
    """Length of the measurement in seconds; viz scrapes every 10 s and keeps 6 h."""

    warmup_seconds: int = Field(10, ge=0, le=3_600)
    """Seconds after the traffic starts that no statistic uses; one scrape interval."""

    load_rate: int = Field(60, ge=0, le=2_000)
    """Requests per second of the load generator, in an open model; 0 measures without it."""

    load_seconds: int = Field(20, ge=5, le=3_600)
    """Length of the load in seconds; with 60 per second 20 give the 1,000 samples of a p99."""

    load_connections: Literal["kept", "new"] = "kept"
    """Whether the load generator keeps its connections or opens one for each request."""

    load_image: str = Field("peterevans/vegeta:6.9.1", min_length=1, max_length=255)
    """Image of the load generator: vegeta 12 with a shell."""

    drills: bool = True
    """Whether a run breaks things and fails over (notebooks 12, 13); a sweep's default: false."""

    repetition: int = Field(1, ge=1, le=10_000)
    """Number of this run among repetitions of the same parameters; it goes into every sample."""

    wan_rtt_ms: float | None = Field(None, ge=0, le=2_000)
    """Embedded only: round trip of the WAN in ms; null takes the pair's own (table or model)."""

    wan_jitter_ms: float | None = Field(None, ge=0, le=500)
    """Embedded only: standard deviation of the round trip in ms; null is 0.3 % of it."""

    wan_jitter_law: Literal["normal", "pareto"] = "normal"
    """Embedded only: `normal` around the round trip, or `pareto`: added to it, heavy-tailed."""

    wan_loss: float = Field(0.0, ge=0, le=0.2)
    """Embedded only: share of lost segments (0 to 0.2), seen as retransmission delay; 0: a backbone."""  # noqa: E501 - one line a field

    seed: int = Field(20_230_711, ge=0, le=2**32 - 1)
    """Seed of every random choice of the lab; the tutorial's date, fixed so runs repeat."""

    max_cost_usd: float | None = Field(None, ge=0, le=100_000)
    """Most that a lab may cost in its ttl_hours, in USD at list prices; null: no cap."""

    approve_cost: bool = False
    """Consent to the quoted cost on clouds that bill; never kept, given anew for each lab."""

    ttl_hours: float = Field(4.0, gt=0, le=168)
    """Hours after which a cloud lab counts as forgotten (tag); long enough for a workshop."""

    @model_validator(mode="after")
    def _fields_agree(self) -> "Params":
        problems = disagreements(self.model_dump())
        if problems:
            raise ValueError("; ".join(f"{key}: {text}" for key, text in problems))
        return self


@dataclass(frozen=True)
class _Rule:
    """A rule between fields: skipped when one of them is itself wrong."""

    key: str
    needs: tuple[str, ...]
    broken: Callable[[Mapping[str, Any]], str | None]


def _same_region(values: Mapping[str, Any]) -> str | None:
    if values["cloud"] != "existing" and values["west_region"] == values["east_region"]:
        return (
            f"same region twice (`{values['east_region']}` is west_region too); "
            "choose two, a lab measures the way between them"
        )
    return None


def _context(key: str) -> Callable[[Mapping[str, Any]], str | None]:
    def broken(values: Mapping[str, Any]) -> str | None:
        if values["cloud"] == "existing" and values[key] is None:
            return "needed when cloud is `existing`; `kubectl config get-contexts` lists yours"
        if values["cloud"] != "existing" and values[key] is not None:
            return f"only for cloud `existing`, and cloud is `{values['cloud']}`; remove it"
        return None

    return broken


def _same_context(values: Mapping[str, Any]) -> str | None:
    if values["east_context"] is not None and values["west_context"] == values["east_context"]:
        return "same context as west_context; a lab needs two clusters"
    return None


def _embedded_only(key: str, neutral: object) -> Callable[[Mapping[str, Any]], str | None]:
    def broken(values: Mapping[str, Any]) -> str | None:
        if values["cloud"] != "embedded" and values[key] != neutral:
            return f"has an effect on cloud `embedded` only, and cloud is `{values['cloud']}`"
        return None

    return broken


def _some_nodes(values: Mapping[str, Any]) -> str | None:
    if values["cloud"] == "digitalocean" and values["node_count"] == 0:
        return "must be at least 1 on cloud `digitalocean`; 0 is for `embedded`"
    return None


def _api_address(values: Mapping[str, Any]) -> str | None:
    if values["cloud"] != "existing" and values["east_api_address"] is not None:
        return f"only for cloud `existing`, and cloud is `{values['cloud']}`; remove it"
    return None


_RULES = (
    _Rule("east_api_address", ("cloud", "east_api_address"), _api_address),
    _Rule("node_count", ("cloud", "node_count"), _some_nodes),
    _Rule("east_region", ("cloud", "west_region", "east_region"), _same_region),
    _Rule("west_context", ("cloud", "west_context"), _context("west_context")),
    _Rule("east_context", ("cloud", "east_context"), _context("east_context")),
    _Rule("east_context", ("west_context", "east_context"), _same_context),
    _Rule("wan_rtt_ms", ("cloud", "wan_rtt_ms"), _embedded_only("wan_rtt_ms", None)),
    _Rule("wan_jitter_ms", ("cloud", "wan_jitter_ms"), _embedded_only("wan_jitter_ms", None)),
    _Rule(
        "wan_jitter_law", ("cloud", "wan_jitter_law"), _embedded_only("wan_jitter_law", "normal")
    ),
    _Rule("wan_loss", ("cloud", "wan_loss"), _embedded_only("wan_loss", 0.0)),
)


def disagreements(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Check the rules between fields.

    Args:
        values: field values; a rule whose fields are not all there is skipped.

    Returns:
        (field, message) of each broken rule.
    """
    found = []
    for rule in _RULES:
        if all(name in values for name in rule.needs):
            text = rule.broken(values)
            if text is not None:
                found.append((rule.key, text))
    return found


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a params file, for editors and validators."""
    schema = Params.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def to_papermill(params: Params) -> dict[str, str | int | float | bool | None]:
    """Return the parameters as the plain types that papermill passes on unchanged."""
    return params.model_dump(mode="json")
