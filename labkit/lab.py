"""One lab: the walk, and what is needed around it: up, status, checks, drills, down.

Every method may be called again: it looks, does what is missing, and returns a value that shows
itself.
"""

from collections.abc import Sequence
from typing import Any, Literal

from labkit import catch_up, clouds, drills, exercises
from labkit.chapters import cleanup
from labkit.checking import run_checks
from labkit.checks import Check, Finding, Report, select, show
from labkit.clouds import Costs
from labkit.display import Step
from labkit.drill_log import DrillLog
from labkit.errors import CheckFailed, InputError, StateError
from labkit.folder import LabFolder
from labkit.inventory import all_checks, exercise_checks
from labkit.learner import note_checks, note_exercises, note_reset, note_solved
from labkit.params import Params
from labkit.progress import headless, progress
from labkit.walk import Walk

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


class Lab(Walk):
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

    # --- checks and exercises -------------------------------------------------------------

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

    # --- as a whole -----------------------------------------------------------------------

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

    # --- drills ---------------------------------------------------------------------------

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
