"""sweep: the walk for many pairs of regions."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.cli.common import AsJson, Assignments, Yes, show, split
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.runs.sweep.folder import SweepFolder
    from labkit.runs.sweep.local import Second
    from labkit.runs.sweep.points import SweepSpec
    from labkit.runs.sweep.running import Runner, SweepResult

Regions = Annotated[str | None, typer.Option(metavar="R,R…", help="regions, as ams3,nyc1")]


def sweep(
    west: Regions = None,
    east: Regions = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="sweep file")] = None,
    repetitions: Annotated[int | None, typer.Option(help="how often each pair; default 1")] = None,
    seed: Annotated[int | None, typer.Option(help="of the order of the points")] = None,
    p: Assignments = None,
    folder: Annotated[
        Path | None, typer.Option(help="of the sweep; default runs/<name of the file>")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="points at the same time")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask: tcp://host:8786, or `local` with --jobs workers")
    ] = None,
    notebooks: Annotated[Path | None, typer.Option(help="folder of the notebooks")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="show the points, run none")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Run the walk for every pair of regions; the same command goes on where it was ended."""
    from labkit.runs.sweep.file import load_sweep
    from labkit.runs.sweep.folder import SweepFolder

    spec = load_sweep(
        file,
        west=_regions(west),
        east=_regions(east),
        repetitions=repetitions,
        seed=seed,
        overrides=split([*(p or []), *(["approve_cost=true"] if yes else [])]),
        environ=os.environ,
    )
    root = folder or Path("runs") / _name(file, spec)
    if plan:
        _show_plan(spec, root, as_json=as_json)
        return
    opened = SweepFolder.open(root, spec)
    with opened.lock():
        result = _run(spec, opened, jobs=jobs, scheduler=scheduler, notebooks=notebooks)
    _tell(result, as_json=as_json)


def _run(
    spec: "SweepSpec",
    folder: "SweepFolder",
    *,
    jobs: int,
    scheduler: str | None,
    notebooks: Path | None,
) -> "SweepResult":
    from labkit.lab import Lab
    from labkit.runs.notebooks import find_notebooks
    from labkit.runs.sweep.dask_cluster import DaskRunner
    from labkit.runs.sweep.local import LocalRunner
    from labkit.runs.sweep.running import require_consent_to_all, run_sweep

    if notebooks is not None:
        find_notebooks(notebooks)
    done = folder.done()
    left = [point for point in spec.points() if point.digest not in done]
    notes = _notes(spec, jobs)
    if left:
        notes.append(require_consent_to_all(Lab.of(left[0].params), len(left)))
    for note in filter(None, notes):
        typer.echo(note, err=True)
    if scheduler is None:
        runner: Runner = LocalRunner(folder, jobs, second=_second(spec))
    else:
        runner = DaskRunner(folder, scheduler, jobs)
    return run_sweep(spec, folder, runner, notebooks=notebooks)


def _second(spec: "SweepSpec") -> "Second":
    """When a second lab may be up: each has clusters of its own, at no cost.

    A lab that stands still takes 4 % of a core. That is nothing to a robot's two requests a second,
    but a load generator on two cores saw 1 to 2 ms of it.
    """
    from labkit.lab import Lab

    points = spec.points()
    cloud = Lab.of(points[0].params).cloud
    if cloud.bills or not cloud.owns_clusters:
        return "never"
    return "measured" if any(point.params.load_rate for point in points) else "standing"


def _notes(spec: "SweepSpec", jobs: int) -> list[str]:
    notes = [f"{region} and itself are no pair: left out" for region in spec.skipped]
    if jobs > 1:
        notes.append(
            f"{jobs} points at the same time share this machine: latencies include each other's "
            "load, and each run says so. For figures to publish leave out --jobs."
        )
    return notes


def _regions(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _name(file: Path | None, spec: "SweepSpec") -> str:
    if file is not None:
        return file.stem
    import hashlib

    digests = sorted(point.digest for point in spec.points())
    return f"sweep-{hashlib.sha256(''.join(digests).encode()).hexdigest()[:8]}"


def _show_plan(spec: "SweepSpec", root: Path, *, as_json: bool) -> None:
    from labkit.display import Table
    from labkit.runs.sweep.folder import SweepFolder

    done = SweepFolder.done(SweepFolder(root, "", ""))
    rows: list[dict[str, Any]] = [
        {
            "order": number,
            "west": point.params.west_region,
            "east": point.params.east_region,
            "repetition": point.params.repetition,
            "state": "done" if point.digest in done else "left",
        }
        for number, point in enumerate(spec.points(), start=1)
    ]
    if as_json:
        show({"folder": str(root), "points": rows}, as_json=True)
        return
    print(Table.of(rows))
    print(f"{len(rows)} points, {sum(row['state'] == 'done' for row in rows)} done; folder {root}")


def _tell(result: "SweepResult", *, as_json: bool) -> None:
    if as_json:
        facts = {
            "folder": str(result.folder),
            "points": result.total,
            "left": result.left,
            "failed": result.failed,
            "rows": result.rows,
        }
        show(facts, as_json=True)
    else:
        from labkit.runs.sweep.results import table

        print(table(result.rows))
        where = os.path.relpath(result.folder)
        print(f"{len(result.rows)} of {result.total} points done; runs in {where}/runs")
    if result.interrupted:
        raise typer.Exit(130)
    if result.left:
        raise LabkitError(
            f"{result.left} of {result.total} points are not done",
            seen="; ".join(f"{name}: {text}" for name, text in result.failed.items()),
            fix=f"look into {result.folder / 'unfinished'}; the same command tries them again",
        )


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(sweep)
