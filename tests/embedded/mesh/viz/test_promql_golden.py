"""Every recorded answer of a real Prometheus (golden/make_golden.py) is given by ours, too."""

import json
import math
from pathlib import Path
from typing import Any

import aiohttp
import pytest

GOLDEN = Path(__file__).parent / "golden"


def _by_query() -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads((GOLDEN / "answers.json").read_text()):
        asked = entry["parameters"].get("query", "")
        grouped.setdefault(f"{entry['path']}: {asked or 'series'}", []).append(entry)
    return grouped


CASES = _by_query()


def _close(ours: str, theirs: str) -> bool:
    left, right = float(ours), float(theirs)
    if math.isnan(left) or math.isnan(right):
        return ours == theirs
    return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)


def _comparable(data: Any) -> Any:
    """Results of a vector have no order, except where the query asks for one."""
    if isinstance(data, dict) and data["resultType"] in ("vector", "matrix"):
        return sorted(data["result"], key=lambda item: sorted(item["metric"].items()))
    return data


def _assert_same(ours: Any, theirs: Any, where: str) -> None:
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), where
        for key, value in theirs.items():
            _assert_same(ours[key], value, f"{where}.{key}")
    elif (
        isinstance(theirs, list)
        and len(theirs) == 2
        and isinstance(theirs[1], str)
        and not (isinstance(theirs[0], str))
    ):
        assert ours[0] == theirs[0], where
        assert _close(ours[1], theirs[1]), f"{where}: ours {ours[1]}, Prometheus {theirs[1]}"
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), f"{where}: {ours} against {theirs}"
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            _assert_same(*pair, f"{where}[{index}]")
    else:
        assert ours == theirs, where


@pytest.mark.parametrize("case", sorted(CASES))
async def test_answers_equal_those_of_prometheus(case: str, golden_api: str) -> None:
    async with aiohttp.ClientSession() as session:
        for entry in CASES[case]:
            where = f"{entry['path']} {entry['parameters']}"
            url = f"{golden_api}/api/v1/{entry['path']}"
            async with session.get(url, params=entry["parameters"]) as response:
                answer = await response.json()
                assert response.status == entry["status"], f"{where}: {answer}"
            assert answer["status"] == entry["answer"]["status"]
            if answer["status"] == "error":
                assert answer["errorType"] == entry["answer"]["errorType"], where
                continue
            theirs = entry["answer"]["data"]
            ours = answer["data"]
            if isinstance(theirs, dict):
                assert ours["resultType"] == theirs["resultType"], where
            _assert_same(_comparable(ours), _comparable(theirs), where)
