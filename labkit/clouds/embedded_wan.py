"""The embedded cloud's network, for the pair of the lab's two regions."""

from typing import Any

from labkit.clients.wan import WanApi
from labkit.clouds.wan import WanChange, WanState, WanValues


class EmbeddedWan:
    """The network of one lab.

    Args:
        api: of the lab's cloud.
        pair: the two regions.
    """

    def __init__(self, api: WanApi, pair: tuple[str, str]) -> None:
        self._api = api
        self._pair = pair

    def show(self) -> WanState:
        """As it is now."""
        return self._state(self._api.get())

    def set(
        self,
        *,
        rtt_ms: float | None = None,
        jitter_ms: float | None = None,
        jitter_law: str | None = None,
        loss: float | None = None,
        blackhole: bool | None = None,
    ) -> WanState:
        """Change what is given; the rest stays. It is in force when this returns."""
        changes: dict[str, Any] = {}
        if rtt_ms is not None:
            a, b = self._pair
            changes["pairs"] = [{"a": a, "b": b, "rtt_ms": rtt_ms}]
        if jitter_ms is not None:
            changes["jitter_ms"] = jitter_ms
        if jitter_law is not None:
            changes["jitter_law"] = jitter_law
        if loss is not None:
            changes["loss"] = loss
        if blackhole is not None:
            changes["blackhole"] = blackhole
        return self._state(self._api.patch(changes))

    def reset(self) -> WanState:
        """Back to what the lab's parameters ask."""
        return self._state(self._api.reset())

    def _state(self, answer: dict[str, Any]) -> WanState:
        return WanState(
            initial=self._values(answer["initial"]),
            now=self._values(answer["now"]),
            changed=answer["live"],
            changes=tuple(WanChange(one["time"], one["text"]) for one in answer["changes"]),
        )

    def _values(self, table: dict[str, Any]) -> WanValues:
        own = frozenset(self._pair)
        rtt = next(p["rtt_ms"] for p in table["pairs"] if frozenset((p["a"], p["b"])) == own)
        return WanValues(
            rtt, table["jitter_ms"], table["loss"], table["jitter_law"], table["blackhole"]
        )
