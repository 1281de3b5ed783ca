# ruff: noqa: INP001 - a script, no package
"""Writes docs/coverage.md from the code: `python docs/generate_coverage.py`.

What there is (routes, resources, controllers, images, subcommands, functions, metrics) is asked of
the code; how faithful each of them is stands in docs/coverage.yaml. An item without a note and a
note without an item are errors. tests/test_docs.py compares the file with what this prints.
"""

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
NOTES = Path(__file__).with_name("coverage.yaml")
SCENARIOS = ROOT / "tests/embedded/scenario_differences.yaml"
TRANSCRIPT = ROOT / "tests/embedded/kubectl/differences.yaml"
EMULATED = ("yes", "partly", "no")


@dataclass(frozen=True)
class Table:
    """What the code has: items in order, and columns of facts about each."""

    item: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]


class CoverageError(Exception):
    """Notes and code do not fit; the text lists every problem."""


def operations() -> Table:
    """Operations of the DigitalOcean emulator."""
    from labkit.embedded.digitalocean.routes import CONTROL, ROUTES

    found = [f"{r.method} {r.path}" for r in (*ROUTES, *CONTROL) if r.method != "*"]
    return Table("Operation", (), dict.fromkeys(found, ()))


def resources() -> Table:
    """Resources that the API server's registry serves."""
    from labkit.embedded.apiserver.resource_table import VERBS
    from labkit.embedded.apiserver.resources import Registry

    return Table(
        "Resource",
        ("Kind", "Verbs"),
        {
            f"{found.plural} {found.api_version}": (
                found.kind,
                "all" if set(found.verbs) == set(VERBS) else _verbs(found.verbs, VERBS),
            )
            for found in Registry().all()
        },
    )


def _verbs(verbs: tuple[str, ...], every: tuple[str, ...]) -> str:
    missing = [verb for verb in every if verb not in verbs]
    return ", ".join(verbs) if len(verbs) < len(missing) else "all but " + ", ".join(missing)


def subresources() -> Table:
    """Subresources, with the resources that have them."""
    from labkit.embedded.apiserver.resources import Registry

    owners: dict[str, dict[str, None]] = {}
    verbs: dict[str, tuple[str, ...]] = {}
    for resource in Registry().all():
        for name, subresource in resource.subresources.items():
            owners.setdefault(name, {})[resource.plural] = None
            verbs[name] = subresource.verbs
    return Table(
        "Subresource",
        ("Of", "Verbs"),
        {name: (", ".join(owners[name]), ", ".join(verbs[name])) for name in sorted(owners)},
    )


def controllers() -> Table:
    """Controllers that the manager runs."""
    from labkit.embedded.controllers import manager

    cloud = manager.Cloud(base_url="", token="", region="", cluster_id="", ca_file=NOTES)
    nothing: Any = None  # the table is only read; no controller is started
    table = manager.controllers(nothing, nothing, manager.Options(ca_pem="", cloud=cloud))
    return Table("Controller", (), dict.fromkeys(table, ()))


def images() -> Table:
    """The image catalogue, with the commands of each image."""
    from labkit.embedded.images.catalog import IMAGES

    return Table(
        "Repository",
        ("Commands",),
        {name: (_codes(filter(None, image.programs)),) for name, image in IMAGES.items()},
    )


def linkerd() -> Table:
    """Subcommands of `linkerd`, with their own flags."""
    from labkit.embedded.linkerd.cli import COMMANDS

    rows = {}
    for words, command in COMMANDS.items():
        parser = argparse.ArgumentParser(add_help=False)
        module = import_module(f"labkit.embedded.linkerd.{command.module}")
        getattr(module, f"{command.name}_flags")(parser)
        flags = [action.option_strings[-1] for action in _shown(parser)]
        rows[" ".join(words)] = (_codes(flags),)
    return Table("Subcommand", ("Flags",), rows)


def _shown(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        if action.option_strings and action.help != argparse.SUPPRESS:
            yield action


def kubectl() -> Table:
    """Commands of the real kubectl, as it lists them for a shell's completion."""
    command = [Path(sys.executable).with_name("kubectl"), "__complete", ""]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names = [line.split("\t")[0] for line in done.stdout.splitlines() if "\t" in line]
    return Table("Command", (), dict.fromkeys(names, ()))


def promql() -> Table:
    """Functions and aggregations of PromQL."""
    from labkit.embedded.mesh.viz.promql_functions import FUNCTIONS
    from labkit.embedded.mesh.viz.promql_syntax import AGGREGATIONS

    functions = dict.fromkeys(sorted(FUNCTIONS), ("function",))
    return Table(
        "Name", ("Kind",), functions | dict.fromkeys(sorted(AGGREGATIONS), ("aggregation",))
    )


def prometheus() -> Table:
    """Paths that viz' Prometheus answers."""
    from labkit.embedded.mesh.viz.prometheus_api import create_app
    from labkit.embedded.mesh.viz.scrape import ScrapePool
    from labkit.embedded.mesh.viz.tsdb import Database

    database = Database()
    app = create_app(database, ScrapePool(database, interval_s=lambda: 1.0))
    paths = {str(route.resource.canonical): () for route in app.router.routes() if route.resource}
    return Table("Path", (), paths)


def metrics() -> Table:
    """Metrics that proxies and service mirrors expose, read from the code that names them."""
    found: dict[str, tuple[str]] = {}
    for name, source in (
        ("proxy", "metrics.py"),
        ("proxy", "proxy.py"),
        ("mirror", "gateway_probe.py"),
    ):
        tree = ast.parse((ROOT / "labkit/embedded/mesh" / source).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for metric in _METRIC.findall(node.value):
                    found[metric] = ("service mirror" if name == "mirror" else "proxy",)
    return Table("Metric", ("Of",), found)


_METRIC = re.compile(
    r"(?:^|^# TYPE )((?:request|response|inbound|outbound|tcp|control|process|gateway)_[a-z_]+)"
    r"(?= (?:counter|gauge|histogram)$|$)"
)

TABLES: Mapping[str, Callable[[], Table]] = {
    function.__name__: function
    for function in (
        operations,
        resources,
        subresources,
        controllers,
        images,
        linkerd,
        kubectl,
        promql,
        prometheus,
        metrics,
    )
}


def render() -> str:
    """The page.

    Raises:
        CoverageError: code without a note, or a note without code.
    """
    content = yaml.load(NOTES.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - "yes" is a word
    problems: list[str] = []
    parts = [f"# {content['title']}", content["text"].strip()]
    for section in content["sections"]:
        parts.append(f"## {section['title']}")
        if "text" in section:
            parts.append(section["text"].strip())
        for name, notes in section.get("tables", {}).items():
            parts.append(_table(name, TABLES[name](), notes, problems))
        if "features" in section:
            parts.append(_features(section["features"], problems))
        if "differences" in section:
            parts.append(_differences(section["differences"]))
    used = {name for section in content["sections"] for name in section.get("tables", {})}
    problems += [f"the table {name} is in no section" for name in TABLES if name not in used]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        hint = "mend the notes, then run `python docs/generate_coverage.py`"
        raise CoverageError(f"docs/coverage.yaml and the code do not fit:\n{listed}\n{hint}")
    return "\n\n".join(parts) + "\n"


def _table(name: str, table: Table, notes: Mapping[str, str], problems: list[str]) -> str:
    problems += [f"{name}: no note for `{item}`" for item in table.rows if item not in notes]
    problems += [f"{name}: there is no `{item}`" for item in notes if item not in table.rows]
    rows = [
        (f"`{item}`", *facts, *_verdict(item, notes.get(item, "yes"), problems))
        for item, facts in table.rows.items()
    ]
    return _markdown((table.item, *table.columns, "Emulated", "Notes"), rows)


def _features(notes: Mapping[str, str], problems: list[str]) -> str:
    rows = [(feature, *_verdict(feature, note, problems)) for feature, note in notes.items()]
    return _markdown(("Feature", "Emulated", "Notes"), rows)


def _verdict(item: str, note: str, problems: list[str]) -> tuple[str, str]:
    word, _, text = note.partition(" - ")
    if word not in EMULATED:
        problems.append(f"`{item}`: {note!r} begins with none of {', '.join(EMULATED)}")
    if word != "yes" and not text and word in EMULATED:
        problems.append(f"`{item}`: {word} needs a reason")
    return word, text


def _differences(kind: str) -> str:
    """The declared differences to recordings, which live with the tests that check them."""
    path = {"scenarios": SCENARIOS, "transcript": TRANSCRIPT}[kind]
    rows: list[dict[str, Any]] = yaml.safe_load(path.read_text())
    return _markdown(
        ("What differs", "Where", "Why"),
        [(row["what"], _where(row), " ".join(row["reason"].split())) for row in rows],
    )


def _where(row: Mapping[str, Any]) -> str:
    if "scenario" in row:
        return f"`{row['scenario']}`"
    return ", ".join(f"`{line}`" for line in row["commands"].values())


def _codes(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines).replace("|  |", "| |")


if __name__ == "__main__":
    try:
        page = render()
    except CoverageError as error:
        sys.exit(str(error))
    Path(__file__).with_name("coverage.md").write_text(page)
