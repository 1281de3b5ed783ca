"""wan: the network between the regions while the lab is up, for what-ifs."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.common import AsJson, LabName, known_lab, show
from labkit.errors import InputError

if TYPE_CHECKING:
    from labkit.clouds import WanState

app = typer.Typer(
    no_args_is_help=True,
    help="Look at the network between the regions, and change it while the lab is up.",
)


@app.command("show")
def show_(lab_name: LabName = None, as_json: AsJson = False) -> None:
    """Show round trip, jitter and loss as they are now, and every change so far."""
    _show(known_lab(lab_name).wan().show(), as_json=as_json)


@app.command("set")
def set_(
    rtt: Annotated[
        float | None, typer.Option(metavar="MS", help="round trip in ms, 0 to 2000")
    ] = None,
    jitter: Annotated[
        float | None,
        typer.Option(metavar="MS", help="standard deviation of the round trip in ms, 0 to 500"),
    ] = None,
    jitter_law: Annotated[
        str | None, typer.Option(metavar="LAW", help="normal, or pareto: a heavy tail")
    ] = None,
    loss: Annotated[
        float | None, typer.Option(metavar="SHARE", help="share of lost segments, 0 to 0.2")
    ] = None,
    blackhole: Annotated[
        bool | None,
        typer.Option(
            "--blackhole/--no-blackhole", help="let nothing pass, in either direction; or again"
        ),
    ] = None,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Change the network now, for open connections too. What is not given stays as it is."""
    from labkit.params import problem_of

    given = {"--rtt": rtt, "--jitter": jitter, "--jitter-law": jitter_law, "--loss": loss}
    keys = {
        "--rtt": "wan_rtt_ms",
        "--jitter": "wan_jitter_ms",
        "--jitter-law": "wan_jitter_law",
        "--loss": "wan_loss",
    }
    if blackhole is None and all(value is None for value in given.values()):
        raise InputError(
            "Nothing to change",
            fix="give --rtt, --jitter, --jitter-law, --loss or --blackhole",
        )
    found = [
        (option, problem_of(keys[option], value))
        for option, value in given.items()
        if value is not None
    ]
    problems = [f"{option}: {problem}" for option, problem in found if problem is not None]
    if problems:
        raise InputError("The network cannot be like this", problems=problems)
    state = (
        known_lab(lab_name)
        .wan()
        .set(rtt_ms=rtt, jitter_ms=jitter, jitter_law=jitter_law, loss=loss, blackhole=blackhole)
    )
    _show(state, as_json=as_json)


@app.command()
def reset(lab_name: LabName = None, as_json: AsJson = False) -> None:
    """Go back to the network that the lab's parameters ask for."""
    _show(known_lab(lab_name).wan().reset(), as_json=as_json)


def _show(state: "WanState", *, as_json: bool) -> None:
    if as_json:
        show(state.to_json(), as_json=True)
        return
    from labkit.display import Table

    names = {
        "rtt_ms": "round trip, ms",
        "jitter_ms": "jitter, ms",
        "jitter_law": "law of the jitter",
        "loss": "loss, share",
        "blackhole": "black hole",
    }
    initial, now = vars(state.initial), vars(state.now)
    rows = [
        {"value": name, "now": _word(now[key]), "by the parameters": _word(initial[key])}
        for key, name in names.items()
    ]
    print(Table.of(rows))
    for change in state.changes:
        print(f"{datetime.fromtimestamp(change.time, UTC):%Y-%m-%d %H:%M:%SZ}  {change.text}")


def _word(value: float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"


def register(labkit: typer.Typer) -> None:
    """Add this group of commands."""
    labkit.add_typer(app, name="wan")
