"""Reads a sweep file; every problem is reported at once, with its line and the nearest word.

::

    west: [ams3, nyc1]          # cross product …
    east: [fra1, lon1]
    pairs: [[sfo3, syd1]]       # … or listed pairs, not both
    repetitions: 2
    seed: 7
    params: {measure_seconds: 15}
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from labkit.errors import InputError
from labkit.params.loading import load_params, problem_of
from labkit.params.model import Params, did_you_mean
from labkit.params.reading import Document, compose, document_of, line_of, read_text, scalar
from labkit.runs.sweep.points import MAX_REPETITIONS, Pair, SweepSpec, checked, cross

KEYS = ("west", "east", "pairs", "repetitions", "seed", "params")
OWN = {
    "lab_name": "each point has a lab of its own",
    "west_region": "the sweep varies it: use west, east or pairs",
    "east_region": "the sweep varies it: use west, east or pairs",
    "repetition": "use repetitions",
}
"""Parameters that a sweep gives to its points itself."""


class _Reader:
    """The problems and values of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[str] = []
        self.values: dict[str, Any] = {}

    def problem(self, node: yaml.Node, text: str) -> None:
        """Keep a problem with its line."""
        self.problems.append(f"{self.name}:{line_of(node)}: {text}")

    def read(self, root: yaml.Node | None) -> None:
        """Read the whole file."""
        if not isinstance(root, yaml.MappingNode):
            self.problems.append(f"{self.name}: expected keys, of {', '.join(KEYS)}")
            return
        readers: Mapping[str, Callable[[str, yaml.Node], Any]] = {
            "west": self._regions,
            "east": self._regions,
            "pairs": self._pairs,
            "repetitions": lambda key, node: self._number(key, node, low=1, high=MAX_REPETITIONS),
            "seed": lambda key, node: self._number(key, node, low=0, high=2**32 - 1),
            "params": self._params,
        }
        for key_node, value_node in root.value:
            key = str(key_node.value)
            if key in self.values:
                self.problem(key_node, f"{key}: given twice")
            elif key in readers:
                self.values[key] = readers[key](key, value_node)
            else:
                hint = did_you_mean(key, list(KEYS)) or f"; known: {', '.join(KEYS)}"
                if key in Params.model_fields:
                    hint = "; parameters go below `params:`"
                self.problem(key_node, f"{key}: unknown key{hint}")
        if "pairs" in self.values and {"west", "east"} & set(self.values):
            self.problem(root, "pairs, or west and east, but not both")
        elif "pairs" not in self.values and not {"west", "east"} <= set(self.values):
            self.problem(root, "west and east, or pairs, must be given")

    def _items(self, key: str, node: yaml.Node) -> list[yaml.Node]:
        if isinstance(node, yaml.SequenceNode) and node.value:
            return list(node.value)
        self.problem(node, f"{key}: expected a list such as [sfo3, syd1]")
        return []

    def _region(self, key: str, node: yaml.Node) -> str | None:
        value, problem = scalar(node)
        found = problem or problem_of("west_region", value)
        if found:
            self.problem(node, f"{key}: {found}")
        return None if found else str(value)

    def _regions(self, key: str, node: yaml.Node) -> list[str]:
        found = [self._region(key, item) for item in self._items(key, node)]
        return [region for region in found if region is not None]

    def _pairs(self, key: str, node: yaml.Node) -> list[Pair]:
        pairs: list[Pair] = []
        for item in self._items(key, node):
            if not isinstance(item, yaml.SequenceNode) or len(item.value) != 2:
                self.problem(item, f"{key}: expected two regions, as [sfo3, syd1]")
                continue
            west, east = (self._region(key, one) for one in item.value)
            if west is None or east is None:
                continue
            if west == east:
                self.problem(item, f"{key}: `{west}` twice; a lab measures the way between two")
            elif (west, east) in pairs:
                self.problem(item, f"{key}: [{west}, {east}] is given twice; use repetitions")
            else:
                pairs.append((west, east))
        return pairs

    def _number(self, key: str, node: yaml.Node, *, low: int, high: int) -> int:
        value, problem = scalar(node)
        if not problem and (isinstance(value, bool) or not isinstance(value, int)):
            problem = f"must be a whole number, not `{value}`"
        elif isinstance(value, int) and not low <= value <= high:
            problem = f"must be {low} to {high}, not {value}"
        if problem:
            self.problem(node, f"{key}: {problem}")
            return low
        return int(str(value))

    def _params(self, key: str, node: yaml.Node) -> Document:
        del key
        document = document_of(node, name=self.name)
        for entry in document.entries:
            if entry.key in OWN:
                self.problems.append(f"{self.name}:{entry.line}: {entry.key}: {OWN[entry.key]}")
        kept = tuple(entry for entry in document.entries if entry.key not in OWN)
        return Document(kept, document.problems, document.broken_keys)


def load_sweep(
    file: Path | None,
    *,
    west: Sequence[str] = (),
    east: Sequence[str] = (),
    repetitions: int | None = None,
    seed: int | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> SweepSpec:
    """What is to be run: from a file, or from two lists of regions; flags win over the file.

    Raises:
        InputError: everything that is wrong, one line a problem.
    """
    reader = _Reader(str(file))
    if file is not None:
        root, problem = compose(read_text(file, kind="Sweep"), name=str(file))
        if problem:
            raise InputError("The sweep does not fit", problems=[problem])
        reader.read(root)
        if west or east:
            reader.problems.append(f"--west and --east: {file} says which pairs; give one of both")
    else:
        reader.values = {"west": list(west), "east": list(east)}
        reader.problems += _flag_problems(west, east)
    given = {key: text for key, text in (overrides or {}).items() if key not in OWN}
    reader.problems += [f"-p: {key}: {OWN[key]}" for key in overrides or {} if key in OWN]
    base, problems = _base(reader.values.get("params"), str(file), given, environ or {})
    reader.problems += problems
    if repetitions is not None and not 1 <= repetitions <= MAX_REPETITIONS:
        reader.problems.append(f"--repetitions: must be 1 to {MAX_REPETITIONS}, not {repetitions}")
    if reader.problems or base is None:
        count = len(reader.problems)
        raise InputError(
            f"The sweep does not fit ({count} problem{'s' if count > 1 else ''})",
            problems=reader.problems,
        )
    values = reader.values
    skipped: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = tuple(values.get("pairs", ()))
    if "pairs" not in values:
        pairs, skipped = cross(values["west"], values["east"])
    spec = SweepSpec(
        pairs=pairs,
        repetitions=repetitions or values.get("repetitions", 1),
        seed=values.get("seed", 0) if seed is None else seed,
        base=base,
        skipped=skipped,
    )
    return checked(spec)


def _flag_problems(west: Sequence[str], east: Sequence[str]) -> list[str]:
    problems = []
    for option, regions in (("--west", west), ("--east", east)):
        if not regions:
            problems.append(f"{option}: regions are missing, as {option} sfo3,nyc1; or use -f FILE")
        found = [problem_of("west_region", region) for region in regions]
        problems += [f"{option}: {text}" for text in found if text]
    return problems


def _base(
    document: Document | None, name: str, given: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[Params | None, list[str]]:
    """Parameters of all points; regions of the environment are not the sweep's."""
    own = {f"LABKIT_{key.upper()}" for key in OWN}
    kept = {key: value for key, value in environ.items() if key not in own}
    try:
        loaded = load_params(
            name, document=document or Document((), ()), overrides=given, environ=kept
        )
    except InputError as error:
        return None, list(error.problems)
    if loaded.origins["drills"] == "default":  # they tell nothing of a pair of regions
        return loaded.params.model_copy(update={"drills": False}), []
    return loaded.params, []
