"""What notebook 11 compares: two runs that are named, or else the newest two that were kept.

One run is no error: there is nothing to compare yet, and the notebook says how to get a second one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.checks import Finding, Outcome, Report, failed, passed, warned
from labkit.display import Shown
from labkit.errors import InputError
from labkit.latency.schema import REQUESTS
from labkit.progress import headless
from labkit.rtt import REGIONS, floor_ms
from labkit.runs.comparing import Comparison, compare_folders
from labkit.runs.figures import mean_of
from labkit.runs.reading import KeptRun, find_runs, read_run

if TYPE_CHECKING:
    from labkit.latency.charts import Chart

EXERCISE = "11.exercise-compare"
_AGAIN = "`labkit run -p west_region={} -p east_region={}`"


@dataclass(frozen=True)
class RunComparison(Shown):
    """Two runs compared, or why there are not two.

    Attributes:
        comparison: None when there is nothing to compare.
        explanation: which runs were taken and why, or what to do.
    """

    comparison: Comparison | None
    explanation: str

    def __str__(self) -> str:
        if self.comparison is None:
            return self.explanation
        return f"{self.explanation}\n\n{self.comparison}"

    def _repr_html_(self) -> str:
        import html

        text = f"<p>{html.escape(self.explanation)}</p>"
        return text + (self.comparison._repr_html_() if self.comparison else "")

    def chart(self) -> "Chart | None":
        """The differences as a forest plot; None when there is nothing to compare."""
        return None if self.comparison is None else self.comparison.chart()

    def check(self) -> Report:
        """What must hold before a difference is published.

        Raises:
            CheckFailed: in a headless run, when something does not.
        """
        report = Report(tuple(_outcomes(self)))
        return report.require() if headless() else report

    def check_exercise(self, answer: float | None = None) -> Report:
        """Whether the number of differences that are told from zero was answered rightly.

        Args:
            answer: rows whose interval leaves zero out.
        """
        finding = _counted(self.comparison, answer)
        title = "you know how many differences are told from zero"
        fix = "" if finding.status == "pass" else "# unfold the hints below the task"
        return Report((Outcome(EXERCISE, title, (), finding.status, finding.reason, fix),))


def compare_runs(run_a: str = "", run_b: str = "", *, runs: str = "runs") -> RunComparison:
    """Compare two runs.

    Args:
        run_a: folder of the one run; empty takes the newest one before B, of B's pair of regions
            if there is one.
        run_b: folder of the other run; empty takes the newest one.
        runs: where runs are looked for that are not named.

    Raises:
        InputError: a named folder holds no run, or the two have no vantage point in common.
    """
    if run_a and run_b:
        return RunComparison(compare_folders(Path(run_a), Path(run_b)), "The two runs you named.")
    kept = _with_samples(Path(runs))
    named = [read_run(path) for text in (run_a, run_b) if text for path in find_runs([Path(text)])]
    last = named[0] if named else (kept[-1] if kept else None)
    others = [run for run in kept if last is not None and run.root != last.root]
    if last is None or not others:
        return RunComparison(None, _one_run_only(last, runs))
    alike = [run for run in others if run.regions == last.regions]
    other = (alike or others)[-1]
    a, b = (last, other) if run_a else (other, last)
    same = "the newest of the same pair" if alike else "the newest, of another pair of regions"
    text = f"B is {b.name}; A is {a.name}. Not named, so taken: {other.name}, {same}."
    return RunComparison(compare_folders(a.root, b.root), text)


def _counted(comparison: Comparison | None, answer: float | None) -> Finding:
    if comparison is None:
        return warned("nothing to compare yet: this exercise needs two runs")
    if answer is None:
        return failed("nothing was answered yet: `answer` in the cell above is empty")
    rows = comparison.differences
    known = rows.dropna(subset=["low_ms", "high_ms"])
    clear = int(((known["low_ms"] > 0) | (known["high_ms"] < 0)).sum())
    if answer == clear:
        return passed(f"{clear} of {len(rows)} differences have an interval that leaves zero out")
    if answer == int((rows["difference_ms"] != 0).sum()):
        return failed(f"{answer:g} figures are not the same; how many intervals leave zero out?")
    return failed(f"it is not {answer:g}: count the rows whose interval has zero on its outside")


def _with_samples(folder: Path) -> list[KeptRun]:
    """Runs that kept samples, oldest first."""
    try:
        paths = find_runs([folder])
    except InputError:
        return []
    runs = [read_run(path) for path in paths if (path / REQUESTS.file).is_file()]
    return sorted(runs, key=lambda run: run.name)


def _one_run_only(last: KeptRun | None, folder: str) -> str:
    if last is None:
        return (
            f"There is no run in {folder} yet, and a comparison needs two: `labkit run` makes one."
        )
    again = _AGAIN.format(*last.regions)
    return (
        f"There is one run, {last.name}, and a comparison needs two. Measure again with {again}, "
        "or change a parameter and see what it costs. Then run this notebook again."
    )


def _outcomes(found: RunComparison) -> list[Outcome]:
    if found.comparison is None:
        text = "nothing to compare yet"
        return [Outcome("11.two-runs", "there are two runs", (), "warn", text, "labkit run")]
    comparison = found.comparison
    both = comparison.differences
    vantages = ", ".join(dict.fromkeys(both["vantage"]))
    unlike = [note for note in comparison.notes if "differ" in note]
    medians = both[both["figure"] == "p50"]
    enough = bool(len(medians)) and bool((medians["note"] == "").all())
    below = [run.name for side in (comparison.a, comparison.b) for run in side.runs if _below(run)]
    return [
        Outcome(
            "11.vantage",
            "both runs were measured from the same vantage point",
            (),
            "pass",
            vantages,
            "",
        ),
        Outcome(
            "11.enough",
            "both runs have enough samples for a median",
            (),
            "pass" if enough else "warn",
            "; ".join(f"n={row.n_a} / {row.n_b}" for row in medians.itertuples()) or "no samples",
            "measure longer: -p measure_seconds=300",
        ),
        Outcome(
            "11.alike",
            "the runs differ in one thing at most",
            (),
            "warn" if unlike else "pass",
            "; ".join(unlike) or "same pair, same parameters, same versions",
            "know which of these the difference is due to, or repeat a run",
        ),
        Outcome(
            "11.floor",
            "no mean is faster than light in fibre",
            (),
            "fail" if below else "pass",
            f"below the floor: {', '.join(below)}" if below else "both are above",
            "look at the regions of the clusters and at wan_rtt_ms",
        ),
    ]


def _below(run: KeptRun) -> bool:
    west, east = run.regions
    mean = mean_of(run).value
    known = west in REGIONS and east in REGIONS and mean is not None
    return known and mean is not None and mean < floor_ms(west, east)
