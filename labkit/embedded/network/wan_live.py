"""The wide-area network as it is now: changed live, every change kept with its time.

Served beside the cloud's own API, behind the same token:

========  ==================  ================================================================
method    path                meaning
========  ==================  ================================================================
GET       /labkit/v1/wan      ``{"initial", "now", "live", "changes"}``
PATCH     /labkit/v1/wan      some values of the round-trip table: ``{"pairs": […], "loss": 0.01}``
DELETE    /labkit/v1/wan      back to what the cloud was started with
========  ==================  ================================================================

An answer comes when the relay has the values. They hold for the bytes that come from then on, on
open connections too, and outlive the daemon. It deliberately has no schedule: whoever wants a
fault at a moment asks at that moment.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from labkit.embedded.network.wan import WideAreaNetwork
from labkit.embedded.network.wan_config import WanConfig, pairs_of
from labkit.errors import InputError, LabkitError, StateError

PATH = "/labkit/v1/wan"
SETTLE_TIMEOUT_S = 10.0


class LiveWan:
    """What the network was started with, what it is now, and how it came there.

    Args:
        initial: of whoever started the cloud.
        file: keeps changes over a restart.
    """

    def __init__(self, initial: WanConfig, file: Path) -> None:
        self.initial = initial
        self._file = file
        kept = _read(file)
        self.changes: list[dict[str, Any]] = list(kept.get("changes", []))
        self.patch: dict[str, Any] = dict(kept.get("patch", {}))
        self.now = initial.patched(self.patch)

    def after(self, patch: Mapping[str, Any] | None) -> tuple[WanConfig, dict[str, Any]]:
        """The network with one more patch, and all patches as one; None takes them all back.

        Raises:
            InputError: the patch does not fit.
        """
        if patch is None:
            return self.initial, {}
        merged = {**self.patch, **patch}
        if "pairs" in patch:
            merged["pairs"] = [*self.patch.get("pairs", []), *pairs_of(patch)]
        changed = self.initial.patched(merged)
        strange = [pair for pair in changed.pairs if pair not in self.initial.pairs]
        if strange:
            raise InputError(
                "The round-trip table cannot be changed",
                problems=[f"there is no pair {_name(pair)}" for pair in strange],
            )
        if "pairs" in merged:  # one entry a pair, however often it was changed
            initial = self.initial.pairs
            different = {k: v for k, v in changed.pairs.items() if initial.get(k) != v}
            merged["pairs"] = WanConfig(pairs=different).to_json()["pairs"]
        return changed, merged

    def accept(self, now: WanConfig, patch: dict[str, Any]) -> None:
        """Record that the network is so now.

        Raises:
            StateError: it cannot be kept.
        """
        change = {"time": time.time(), "text": difference(self.now, now)}
        changes = [*self.changes, change]
        beside = self._file.with_suffix(".new")
        try:
            text = json.dumps({"patch": patch, "changes": changes}, indent=1)
            beside.write_text(text, encoding="utf-8")
            beside.replace(self._file)
        except OSError as error:
            raise StateError(
                f"The change of the WAN cannot be kept in {self._file}",
                seen=error.strerror or str(error),
                fix="free space, then set it again",
            ) from error
        self.now, self.patch, self.changes = now, patch, changes

    def to_json(self) -> dict[str, Any]:
        """As the API answers it."""
        return {
            "initial": self.initial.to_json(),
            "now": self.now.to_json(),
            "live": self.now != self.initial,
            "changes": self.changes,
        }


def difference(before: WanConfig, after: WanConfig) -> str:
    """What changed, in words: `sfo3–syd1 round trip 145.9 → 80 ms, loss 0 → 0.01`."""
    parts = [
        f"{_name(pair)} round trip {before.pairs.get(pair, 0):g} → {value:g} ms"
        for pair, value in after.pairs.items()
        if before.pairs.get(pair) != value
    ]
    old, new = before.to_json(), after.to_json()
    for key in new:
        if key != "pairs" and old.get(key) != new[key]:
            unit = " ms" if key.endswith("_ms") else ""
            parts.append(
                f"{key.removesuffix('_ms')} {_word(old.get(key))} → {_word(new[key])}{unit}"
            )
    return ", ".join(parts)


def _name(pair: frozenset[str]) -> str:
    return f"{min(pair)}–{max(pair)}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # written in one piece: damaged only by hand
        return {}
    return content if isinstance(content, dict) else {}


def routes(live: LiveWan, network: WideAreaNetwork) -> list[web.RouteDef]:
    """The operations, to be served behind the cloud's token."""
    turn = asyncio.Lock()

    async def show(_: web.Request) -> web.Response:
        return web.json_response(live.to_json())

    async def change(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.text())
        except ValueError:
            return _refusal(400, InputError("The request body is not JSON"))
        if not isinstance(body, dict):
            return _refusal(400, InputError("The request body is not a JSON object"))
        return await apply(body)

    async def reset(_: web.Request) -> web.Response:
        return await apply(None)

    async def apply(patch: dict[str, Any] | None) -> web.Response:
        async with turn:
            before = live.now
            try:
                now, merged = live.after(patch)
                if now != before:
                    network.change(now)
                    async with asyncio.timeout(SETTLE_TIMEOUT_S):
                        await network.settled()
                    live.accept(now, merged)
            except InputError as error:
                return _refusal(422, error)
            except (TimeoutError, StateError) as error:
                network.change(before)
                told = error if isinstance(error, StateError) else _not_settled()
                return _refusal(503, told)
            return web.json_response(live.to_json())

    return [web.get(PATH, show), web.patch(PATH, change), web.delete(PATH, reset)]


def _not_settled() -> StateError:
    return StateError(
        f"The WAN relay did not take the change within {SETTLE_TIMEOUT_S:.0f} s",
        seen="it was taken back",
        fix="look at relay.log and daemon.log in the cloud's state folder",
    )


def _refusal(status: int, error: LabkitError) -> web.Response:
    problems = list(error.problems) if isinstance(error, InputError) else []
    body = {"what": error.what, "seen": error.seen, "fix": error.fix, "problems": problems}
    return web.json_response(body, status=status)
