"""audit, reap: what labs have left in an account, and the end of forgotten labs."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from labkit.cli.common import AsJson, LabName, Yes, confirm, known_lab, show
from labkit.errors import LabkitError


def audit(
    lab_name: LabName = None,
    all_labs: Annotated[
        bool, typer.Option("--all-labs", help="every lab of the DigitalOcean account")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what a lab has in the account, with prices. Exit codes: 0 nothing, 1 something left."""
    if all_labs:
        from labkit import clouds

        found = clouds.audit_account(clouds.connect())
    else:
        found = known_lab(lab_name).cloud.audit()
    show(found.to_json() if as_json else _audit_text(found), as_json=as_json)
    raise typer.Exit(found.exit_code)


def _audit_text(found: Any) -> str:
    from labkit.clouds.costs import usd
    from labkit.display import Table

    parts = ["nothing is left"]
    if found.left:
        total = f"{len(found.left)} left, {usd(found.usd_per_month)} USD a month"
        parts = [
            str(Table.of([item.row() for item in found.left])),
            f"{total}; `labkit down` or `labkit reap` removes it",
        ]
    if found.look_alikes:
        parts += [
            "not made by labkit, although it carries its tags (nobody will delete it):",
            str(Table.of([item.row() for item in found.look_alikes])),
        ]
    parts += [f"not looked at: {text}" for text in found.unseen]
    return "\n".join(parts)


def reap(
    lab_name: Annotated[
        str | None, typer.Option("--lab-name", help="this lab, whether its time has passed or not")
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove labs of the DigitalOcean account whose time to live has passed."""
    from labkit import clouds
    from labkit.progress import progress

    client = clouds.connect()
    chosen = [
        lab
        for lab in clouds.labs_of(client)
        if (lab.has_expired(datetime.now(UTC)) if lab_name is None else lab.lab == lab_name)
    ]
    if chosen:
        confirm(_question(chosen), word="reap", yes=yes)
    deleted: list[str] = []
    problems: list[str] = []
    with progress("Reaping") as shown:

        def report(name: str, text: str) -> None:
            shown.update(text, key=name)

        deleted += clouds.unfinished(client, report)
        for lab in chosen:
            try:
                deleted += clouds.reap(client, lab, report)
            except LabkitError as error:  # the others are taken down all the same
                problems.append(f"{lab.lab}: {error}")
    facts = {"reaped": [lab.lab for lab in chosen], "deleted": deleted, "problems": problems}
    lines = [f"deleted {item}" for item in deleted] or ["there was nothing to reap"]
    show(facts if as_json else "\n".join([*lines, *problems]), as_json=as_json)
    raise typer.Exit(1 if problems else 0)


def _question(labs: list[Any]) -> str:
    from labkit.display import Table

    table = Table.of([lab.row() for lab in labs])
    return f"These labs will be deleted with everything they made:\n{table}"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (audit, reap):
        app.command()(command)
