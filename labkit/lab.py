"""One lab: the chapters as methods, and what is needed around them.

`open_lab` is what a notebook calls. Every method may be called again: it looks, does what is
missing, and returns a value that shows itself.
"""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

from labkit import catch_up, clouds, drills, exercises
from labkit.chapters import (
    CHAPTERS,
    cleanup,
    clusters,
    dashboards,
    emojivoto,
    failover,
    failover_samples,
    latency,
    linkerd,
    mirror,
    mtls,
    multicluster_link,
    start_here,
    traffic,
    trust_anchor,
)
from labkit.checking import run_checks
from labkit.checks import Check, Finding, Report, select, show
from labkit.clouds import Costs
from labkit.context import LabContext
from labkit.display import Step, Table
from labkit.drill_log import DrillLog
from labkit.errors import CheckFailed, InputError, StateError
from labkit.folder import LabFolder, known_labs
from labkit.learner import note_checks, note_exercises, note_reset, note_solved, step_of
from labkit.params import LoadedParams, Params, load_params
from labkit.progress import headless, in_notebook, progress, show_now

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def open_lab(**values: object) -> "Lab":
    """Open a lab by name, or describe a new one.

    Args:
        values: parameters as in `params/*.yaml`; what is not given comes from the lab itself,
            from `LABKIT_*`, or from the defaults.

    Raises:
        InputError: a value does not fit.
        StateError: the lab is up with other values.

    Example:
        >>> lab = open_lab(lab_name="demo", west_region="sfo3", east_region="syd1")
    """
    given = {key: str(value) for key, value in values.items() if value is not None}
    if in_notebook():
        # Pictures come later in a notebook; what draws them is imported while it waits.
        Thread(target=import_module, args=("labkit.picture",), daemon=True).start()
    lab = describe_lab(load_params(overrides=given, environ=os.environ))
    if in_notebook():
        show_now(lab.cost())
    return lab


def describe_lab(loaded: LoadedParams) -> "Lab":
    """The lab that parameters describe; what they leave open comes from the lab's last ones.

    Raises:
        StateError: the lab has clusters that were made with other values.
    """
    known = LabFolder.of(loaded.params.lab_name).read_params()
    if known is None:
        return Lab.create(loaded.params)
    values = loaded.params.model_dump()
    kept = known.model_dump()
    said = {key for key, origin in loaded.origins.items() if origin != "default"}
    return Lab.create(Params(**{key: values[key] if key in said else kept[key] for key in values}))


def find_lab(lab_name: str | None) -> "Lab":
    """A lab that exists, by name; without a name the only one there is.

    Raises:
        StateError: there is none.
        InputError: there are several.
    """
    labs = known_labs()
    if lab_name is None and len(labs) > 1:
        raise InputError(
            "There are several labs",
            problems=[f"--lab-name {name}" for name in labs],
            fix="say which one you mean",
        )
    name = lab_name or (labs[0] if labs else "demo")
    params = LabFolder.of(name).read_params()
    if params is None:
        raise StateError(
            f"There is no lab {name}",
            seen=f"labs: {', '.join(labs) or 'none'}",
            fix="`labkit up` makes one",
        )
    return Lab.of(params)


def all_checks() -> list[Check]:
    """Every check of every chapter, in order."""
    return [check for chapter in CHAPTERS for check in chapter.CHECKS]


def exercise_checks() -> list[Check]:
    """The checks of all exercises, in order; no chapter needs them."""
    return [exercise.check for exercise in exercises.EXERCISES]


def list_checks(chapters: Sequence[str], *, of_exercises: bool = False) -> list[dict[str, object]]:
    """Facts about checks, without running any."""
    known = exercise_checks() if of_exercises else all_checks()
    return [check.to_json() for check in select(known, list(chapters))]


def lab_of_run(folder: Path) -> "Lab":
    """The lab of a headless run, from its run folder; its own folder may be gone.

    Args:
        folder: the run folder.

    Raises:
        InputError: it is no run folder.
        StateError: the lab has been made anew since.
    """
    try:
        params = Params.model_validate_json((folder / "params.json").read_text(), strict=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no run folder",
            problems=[f"params.json: {getattr(error, 'strerror', None) or error}"],
            fix="give the folder that `labkit run` has printed, as runs/20261123T012345Z-sfo3-syd1",
        ) from error
    lab_folder = LabFolder.of(params.lab_name)
    clouds.restore_record(lab_folder.root, folder)
    if lab_folder.read_params() is None:
        lab_folder.write_params(params)
    return Lab.of(params)


CHANGEABLE = {
    "measure_seconds",
    "warmup_seconds",
    "repetition",
    "drills",
    "max_cost_usd",
    "approve_cost",
    *("load_rate", "load_seconds", "load_connections", "load_image"),
}
"""Parameters that may change while a lab is up."""


class Lab(LabContext):
    """One lab."""

    @classmethod
    def of(cls, params: Params) -> "Lab":
        """The lab of some parameters; nothing is written or started."""
        folder = LabFolder.of(params.lab_name)
        return cls(params=params, folder=folder, cloud=clouds.open_cloud(params, folder))

    @classmethod
    def create(cls, params: Params) -> "Lab":
        """Like `of`, and keeps the parameters in the lab's folder.

        Raises:
            StateError: the lab has clusters, running or not, with other parameters.
        """
        folder = LabFolder.of(params.lab_name)
        known = folder.read_params()
        if known is not None and known != params:
            old, new = known.model_dump(), params.model_dump()
            changed = [key for key in new if new[key] != old[key] and key not in CHANGEABLE]
            if changed and folder.kubeconfig.exists():
                raise StateError(
                    f"The lab {params.lab_name} has clusters with other parameters",
                    seen=", ".join(f"{k} is {old[k]}, asked {new[k]}" for k in changed),
                    fix="`labkit down` first, or choose another lab_name",
                )
        folder.write_params(params)
        return cls.of(params)

    def is_up(self) -> bool:
        """Whether the lab has clusters now."""
        if not self.folder.kubeconfig.exists():
            return False
        return bool(self.cloud.status()["running"]) and bool(self.cloud.clusters())

    def has_remains(self) -> bool:
        """Whether something may be there that `down` has to remove; nothing is asked."""
        return self.folder.kubeconfig.exists() or clouds.has_record(self.folder.root)

    # --- around the chapters --------------------------------------------------------------

    def topology(self, stage: str) -> "Figure":
        """Draw the lab at a stage: clusters, mesh, link, emojivoto, mirror or traffic."""
        from labkit.topology import draw_topology

        return draw_topology(
            self.params.west_region,
            self.params.east_region,
            stage=stage,
            rtt_ms=self.params.wan_rtt_ms,
        )

    def run_checks(self, chapters: Sequence[str] = (), *, wait: bool = True) -> Report:
        """Run the checks of some chapters, or of all.

        Args:
            chapters: numbers, as `01`; none means all, without those of the last chapter as long
                as the lab has clusters: they prove that it is gone.
            wait: give what is still coming up its time; else look once.
        """
        chosen = select(all_checks(), list(chapters))
        if not chapters and self.folder.kubeconfig.exists():
            chosen = [check for check in chosen if check.chapter != catch_up.LAST]
        report = run_checks(self, chosen, wait=wait)
        note_checks(self.folder, {seen.id: seen.status == "fail" for seen in report.outcomes})
        return report

    def check(self, chapter: str) -> Report:
        """Run a chapter's checks, show them, keep them for the summary.

        Raises:
            CheckFailed: headless, and a check failed.
        """
        report = self.run_checks([chapter])
        kept = self.recorded("checks") or {}
        self.record("checks", {**kept, chapter: report.to_json()})
        return show(report)

    def run_exercises(self, chapters: Sequence[str] = (), *, wait: bool = True) -> Report:
        """Look at the exercises of some chapters, or of all: which are solved.

        Args:
            chapters: numbers, as `06`; none means all.
            wait: give what is still coming up its time; else look once.
        """
        return self._run_exercises(select(exercise_checks(), list(chapters)), wait=wait)

    def _run_exercises(self, chosen: Sequence[Check], *, wait: bool = True) -> Report:
        report = run_checks(self, chosen, wait=wait)
        solved = {seen.id: seen.status == "pass" for seen in report.outcomes}
        note_exercises(self.folder, solved)
        return report

    def start_exercise(self, exercise: str) -> Step:
        """Make what an exercise starts from; it may be called again.

        Args:
            exercise: its id, as `05.exercise-mesh`.

        Raises:
            InputError: there is no such exercise, or it starts from the chapter's end as it is.
        """
        found = exercises.find(exercise)
        if found.start is None:
            raise InputError(
                "Nothing to start", problems=[f"{exercise} starts from the end of its chapter"]
            )
        return found.start(self)

    def check_exercise(self, exercise: str, answer: object = None) -> Report:
        """Whether an exercise is solved; an answer that is given is kept, None keeps the last one.

        Args:
            exercise: its id, as `04.exercise-gateway`.
            answer: what the learner found out, where the exercise asks for that.

        Raises:
            InputError: there is no such exercise.
        """
        found = exercises.find(exercise)
        if answer is not None:
            exercises.keep(self, found.id, answer)
        report = self._run_exercises([found.check])
        kept = self.recorded("exercises") or {}
        self.record("exercises", {**kept, found.id: report.to_json()})
        return report

    def shell(self, text: str) -> exercises.ShellOutput:
        """Run lines in bash as after `eval "$(labkit env)"`, and show what they printed.

        Raises:
            CommandError: they did not end within two minutes.
        """
        return exercises.run_shell(self, text)

    def up(self, *, bare: bool = False) -> Step:
        """Two clusters, and the trust anchor unless `bare`."""
        already = self.is_up()
        step = self.create_clusters()
        if not bare:
            self.create_trust_anchor()
        if already:
            title = f"The lab {self.params.lab_name} is up already; nothing was changed."
            return Step(title, table=step.table, facts={**step.facts, "already": True})
        return Step(step.title, table=step.table, notes=step.notes, facts=step.facts)

    def status(self) -> dict[str, Any]:
        """Facts for programs: clusters, processes with memory."""
        cloud = self.cloud.status()
        found = self.cloud.clusters() if cloud["running"] else []
        return {
            "lab": self.params.lab_name,
            "cloud": self.cloud.name,
            "folder": str(self.folder.root),
            "running": cloud["running"],
            "clusters": [vars(item) for item in found],
            "processes": cloud["processes"],
            "open_drills": [item["name"] for item in self.open_drills()],
        }

    def tear_down(self) -> dict[str, Any]:
        """Delete the clusters and end every process; proves what is left.

        Returns:
            `deleted`, `leftovers` (billable), `ended`, `processes_left`, `notes`.
        """
        with progress("Taking the lab down") as shown:
            try:
                self.read_meter()
                deleted, notes = cleanup.unlink(self, shown)
                deleted += self.cloud.delete_clusters(
                    lambda name, text: shown.update(text, key=name)
                )
                leftovers = self.cloud.leftovers()
                self.read_meter()
            finally:  # a cloud that does not answer is stopped all the same
                stopped = self.cloud.stop()
            for path in (self.folder.kubeconfig, self.folder.chapters_file):
                path.unlink(missing_ok=True)
            DrillLog(self.folder).clear()
        return {"deleted": deleted, "leftovers": leftovers, "notes": notes, **stopped}

    def wan(self) -> clouds.WanControl:
        """The network between the regions, to be looked at and changed while the lab is up.

        Raises:
            StateError: this cloud's network is a real one, or the lab is not up.
        """
        control = self.cloud.wan()
        if control is None:
            raise StateError(
                f"The network of the lab {self.params.lab_name} cannot be set",
                seen=f"on cloud {self.cloud.name} it is a real network",
                fix="take a lab on a cloud that emulates its network: -p cloud=embedded",
            )
        return control

    def cost(self) -> Costs:
        """What the lab has cost so far; nothing is asked."""
        return self.meter.read()

    def solve(self, chapter: str) -> Step:
        """Bring the lab to the end of a chapter, from any state; the chapter's checks prove it.

        Raises:
            InputError: there is no such chapter.
            CheckFailed: the steps went through, and a check of the chapter does not hold.
        """
        wanted = catch_up.find(chapter)
        if not catch_up.needs_clusters(wanted):
            return self.down()
        step = catch_up.solve(self, wanted)
        note_solved(self.folder, wanted)
        return step

    def reset(self, chapter: str) -> Step:
        """Take the lab back to the start of a chapter, from any state.

        Raises:
            InputError: there is no such chapter.
        """
        wanted = catch_up.find(chapter)
        step = self.down() if wanted <= catch_up.FIRST else catch_up.reset(self, wanted)
        note_reset(self.folder, wanted)
        return step

    def down(self) -> Step:
        """99: everything down."""
        return cleanup.show(self.tear_down())

    # --- chapters -------------------------------------------------------------------------

    @step_of("00")
    def doctor(self) -> Step:
        """00: tools, versions, regions."""
        return start_here.doctor(self)

    @step_of("00")
    def quote(self) -> Step:
        """00: what the lab costs."""
        return start_here.quote(self)

    @step_of("01")
    def create_clusters(self) -> Step:
        """01: west and east, with a kubeconfig of their own."""
        return clusters.create(self)

    @step_of("02")
    def create_trust_anchor(self) -> Step:
        """02: root and issuer."""
        return trust_anchor.create(self)

    @step_of("03")
    def install_linkerd(self) -> Step:
        """03: the control plane in both clusters, with the shared trust anchor."""
        return linkerd.install(self)

    @step_of("03")
    def install_viz(self) -> Step:
        """03: viz in both clusters."""
        return linkerd.install_viz(self)

    @step_of("04")
    def install_multicluster(self) -> Step:
        """04: gateways and controllers."""
        return multicluster_link.install(self)

    @step_of("04")
    def link_clusters(self) -> Step:
        """04: the Link from west to east."""
        return multicluster_link.link(self)

    @step_of("05")
    def deploy_emojivoto(self) -> Step:
        """05: emojivoto, injected, in both clusters."""
        return emojivoto.deploy(self)

    @step_of("05")
    def split_emojivoto(self) -> Step:
        """05: west keeps vote-bot, east keeps the rest."""
        return emojivoto.split(self)

    @step_of("06")
    def export_web(self) -> Step:
        """06: web-svc of east appears in west."""
        return mirror.export(self)

    @step_of("07")
    def redirect_traffic(self) -> Step:
        """07: vote-bot votes in the other region."""
        return traffic.redirect(self)

    @step_of("08")
    def tap(self) -> Step:
        """08: requests of vote-bot as its proxy sees them."""
        return mtls.tap(self)

    @step_of("08")
    def try_intruders(self) -> Step:
        """08: two clients that the gateway must refuse."""
        return mtls.try_intruders(self)

    @step_of("09")
    def golden_metrics(self) -> Step:
        """09: success, requests per second and latency of both sides."""
        return dashboards.golden_metrics(self)

    @step_of("09")
    def metrics_chart(self) -> "Figure":
        """09: success rate and requests per second of both sides, as a chart."""
        return dashboards.chart(self)

    @step_of("09")
    def gateways(self) -> Step:
        """09: the gateway as west sees it."""
        return dashboards.gateways(self)

    @step_of("10")
    def measure(self) -> Step:
        """10: wait for the warm-up, measure, keep samples and metrics."""
        exercises.silence(self)
        return latency.measure(self)

    @step_of("10")
    def latency_chart(self, name: str) -> "Figure":
        """10: one chart of the measurement."""
        return latency.chart(self, name)

    @step_of("10")
    def latency_figures(self) -> Step:
        """10: the figures of the measurement with their vantage points and warnings."""
        return latency.figures(self)

    # --- drills, and failover -------------------------------------------------------------

    def open_drills(self) -> list[dict[str, Any]]:
        """The drills that are open: name, since (seconds since 1970), hints."""
        return [
            {"name": record.name, "since": record.since, "hints": record.hints}
            for record in DrillLog(self.folder).open()
        ]

    def drill(self, name: str, what: Literal["start", "hint", "heal"] = "start") -> Step:
        """Start a drill, ask for its next hint, or heal it.

        Args:
            name: as `labkit drill --list` tells.
            what: to do.

        Raises:
            InputError: there is no such drill.
            StateError: another one is open, or the lab is not in order.
        """
        do = {"start": drills.start, "hint": drills.hint, "heal": drills.heal}[what]
        return do(self, drills.find(name))

    def verify_drill(self, name: str) -> Finding:
        """Whether the repair holds, seen on the real thing."""
        return drills.verify(self, drills.find(name))

    def mended(self, name: str) -> Step:
        """12: the same, to be shown.

        Raises:
            CheckFailed: headless, and it does not hold.
        """
        finding = self.verify_drill(name)
        good = finding.status == "pass"
        if not good and headless():
            raise CheckFailed(
                f"The drill {name} is not mended",
                seen=finding.reason,
                fix=f"labkit drill {name} --heal",
            )
        title = f"✔ {name} is mended." if good else f"✘ {name} is not mended yet."
        by_hand = (f"labkit drill {name} --verify",)
        return Step(title, by_hand=by_hand, notes=(finding.reason,), facts=vars(finding))

    @step_of("13")
    def add_backend(self) -> Step:
        """13: the application in west, too, and votes shared out half and half."""
        return failover.add_backend(self)

    @step_of("13")
    def fail_over(self) -> Step:
        """13: east lost, all votes to west, and back again; measured."""
        return failover.fail_over(self)

    @step_of("13")
    def put_back(self) -> Step:
        """13: as it was at the end of chapter 07."""
        return failover.put_back(self)

    def failover_chart(self) -> "Figure":
        """13: requests per second and success of each backend, with what was done marked."""
        return failover_samples.chart(self)


def status_text(facts: dict[str, Any]) -> str:
    """`labkit status` for people."""
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


def teardown_text(facts: dict[str, Any]) -> str:
    """`labkit down` for people."""
    lines = [f"deleted {item}" for item in facts["deleted"]] or ["there were no clusters"]
    lines += [f"ended {name}" for name in facts["ended"]]
    lines += [f"STILL THERE and billed: {item}" for item in facts["leftovers"]]
    lines += [f"note: {text}" for text in facts["notes"]]
    lines.append(f"processes left: {len(facts['processes_left'])}")
    return "\n".join(lines)
