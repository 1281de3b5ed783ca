"""up, status, check, solve, reset, down: one lab by hand."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli.common import (
    AsJson,
    Assignments,
    LabName,
    ParamsFile,
    Yes,
    agreed,
    known_lab,
    load,
    show,
)
from labkit.cli.drill import warn_of_open_drills
from labkit.errors import InputError


def up(
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="two empty clusters and nothing else")
    ] = False,
    nodes: Annotated[
        int | None,
        typer.Option("--nodes", help="nodes per cluster; 0 only with --bare, pods then wait"),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Bring up the two clusters and the trust anchor, ready for chapter 03."""
    assigned = list(p or ())
    if nodes is not None:
        assigned.append(f"node_count={nodes}")
    loaded = load(params, assigned, lab_name)
    from labkit.lab import Lab
    from labkit.opening import describe_lab

    lab = describe_lab(loaded)
    if lab.params.node_count == 0 and not bare:
        raise InputError(
            "A lab without nodes runs nothing",
            problems=["node_count is 0: give the lab nodes, or ask for empty clusters by --bare"],
        )
    try:
        step = Lab.of(agreed(lab, yes=yes)).up(bare=bare)
    except KeyboardInterrupt:
        if lab.has_remains():
            sys.stderr.write("the lab is half up: `labkit up` goes on, `labkit down` removes it\n")
        raise
    show(dict(step.facts) if as_json else step, as_json=as_json)


def status(lab_name: LabName = None, as_json: AsJson = False) -> None:
    """Show what runs: clusters, processes, memory."""
    facts = known_lab(lab_name).status()
    if as_json:
        show(facts, as_json=True)
        return
    print(_status_text(facts))


def check(
    chapters: Annotated[list[str] | None, typer.Argument(help="chapter numbers, as 01 03")] = None,
    lab_name: LabName = None,
    list_only: Annotated[bool, typer.Option("--list", help="list the checks, run none")] = False,
    skip_wait: Annotated[
        bool,
        typer.Option(
            "--skip-wait",
            help="look once; without it, what is still coming up (a rollout, a probe, a scrape) "
            "is looked at again until it holds or the check's time is over",
        ),
    ] = False,
    exercises: Annotated[
        bool, typer.Option("--exercises", help="the exercises' checks instead: which are solved")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the checks of some chapters or all. Exit codes: 0 pass, 1 fail, 2 none ran, 3 warn."""
    if list_only:
        from labkit.inventory import list_checks

        rows = list_checks(chapters or [], of_exercises=exercises)
        show(rows if as_json else "\n".join(map(_declared, rows)), as_json=as_json)
        return
    lab = known_lab(lab_name)
    run = lab.run_exercises if exercises else lab.run_checks
    report = run(chapters or [], wait=not skip_wait)
    show(report.to_json() if as_json else report, as_json=as_json)
    warn_of_open_drills(lab)
    raise typer.Exit(report.exit_code)


def _declared(check: dict[str, Any]) -> str:
    from labkit.checks import HERE

    where = ", ".join(check["clusters"]) or HERE
    return (
        f"{check['id']}  {check['title']}  [{where}]\n"
        f"    proves: {check['proves']}; up to {check['limit_s']:g} s"
    )


Chapter = Annotated[str, typer.Argument(metavar="CHAPTER", help="number of a chapter, as 04")]


def solve(
    chapter: Chapter,
    params: ParamsFile = None,
    p: Assignments = None,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Bring the lab to the end of a chapter, from any state; a lab that is not there is made."""
    loaded = load(params, p, lab_name)
    from labkit.opening import describe_lab

    step = describe_lab(loaded).solve(chapter)
    show(dict(step.facts) if as_json else step, as_json=as_json)


def reset(chapter: Chapter, lab_name: LabName = None, as_json: AsJson = False) -> None:
    """Take the lab back to the start of a chapter, from any state."""
    step = known_lab(lab_name).reset(chapter)
    show(dict(step.facts) if as_json else step, as_json=as_json)


def down(
    lab_name: LabName = None,
    from_run: Annotated[
        Path | None, typer.Option("--from-run", help="the lab of this run folder")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete the clusters with all they made, end every process, and say what is left."""
    if from_run is not None:
        from labkit.opening import lab_of_run

        lab = lab_of_run(from_run)
    else:
        lab = known_lab(lab_name)
    facts = lab.tear_down()
    from labkit.runs.kernels import remove_leftovers

    remove_leftovers()
    if as_json:
        show(facts, as_json=True)
    else:
        print(_teardown_text(facts))
    if facts["processes_left"] or facts["leftovers"]:
        raise typer.Exit(1)


def _status_text(facts: dict[str, Any]) -> str:
    from labkit.display import Table

    state = "up" if facts["running"] and facts["clusters"] else "down"
    parts = [f"lab {facts['lab']} on {facts['cloud']}: {state}"]
    if facts["clusters"]:
        names = ("name", "region", "state", "nodes", "endpoint")
        parts.append(str(Table.of([{n: c[n] for n in names} for c in facts["clusters"]])))
    parts += [
        f"the drill {name} is open: `labkit drill {name} --heal` ends it"
        for name in facts["open_drills"]
    ]
    if facts["processes"] and isinstance(facts["processes"][0], dict):
        parts.append(str(Table.of(facts["processes"])))
        total = sum(p["pss_mb"] or 0.0 for p in facts["processes"])
        parts.append(f"memory: {total:.0f} MB in {len(facts['processes'])} processes")
    elif facts["processes"]:
        left = ", ".join(facts["processes"])
        parts.append(f"left over from a killed lab: {left}; `labkit up` or `labkit down` ends them")
    return "\n\n".join(parts)


def _teardown_text(facts: dict[str, Any]) -> str:
    lines = [f"deleted {item}" for item in facts["deleted"]] or ["there were no clusters"]
    lines += [f"ended {name}" for name in facts["ended"]]
    lines += [f"STILL THERE and billed: {item}" for item in facts["leftovers"]]
    lines += [f"note: {text}" for text in facts["notes"]]
    lines.append(f"processes left: {len(facts['processes_left'])}")
    return "\n".join(lines)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, status, check, solve, reset, down):
        app.command()(command)
