"""Do the 95 % intervals hold what they promise? Coverage over simulated experiments.

Each cell: how many of 1,000 experiments had the truth inside the interval. Deliberately absent:
dependent samples; the intervals assume independent ones.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.measuring import print_table
from labkit.latency import comparing, statistics

Array = npt.NDArray[np.float64]

EXPERIMENTS = 1_000
LOW, HIGH = 93.0, 97.0
N = 1_000


class Law:
    """A distribution of latencies in ms with its true figures."""

    def __init__(self, name: str, quantile: Callable[[Array], Array], mean: float) -> None:
        self.name = name
        self._quantile = quantile
        self.mean = mean

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Independent samples."""
        return self._quantile(rng.random(n))

    def truth(self, figure: str) -> float:
        """The mean, or a quantile as `p95`."""
        if figure == "mean":
            return self.mean
        return float(self._quantile(np.array([float(figure[1:]) / 100]))[0])


def _two_ways(u: Array) -> Array:
    """Nine requests of ten take the short way, one the long way."""
    short = stats.norm.ppf(np.clip(u / 0.9, 1e-12, 1 - 1e-12), 100, 3)
    long = stats.norm.ppf(np.clip((u - 0.9) / 0.1, 1e-12, 1 - 1e-12), 180, 6)
    return np.where(u < 0.9, short, long)


LAWS = (
    Law("normal", lambda u: stats.norm.ppf(u, 150, 5), 150),
    Law("lognormal", lambda u: 100 + stats.lognorm.ppf(u, 1, scale=10), 100 + 10 * np.exp(0.5)),
    Law("heavy tail (Pareto 3)", lambda u: 100 + 10 * stats.lomax.ppf(u, 3), 105),
    Law("two ways", _two_ways, 0.9 * 100 + 0.1 * 180),
)
FIGURES = ("mean", "p50", "p90", "p95", "p99")


def interval(samples: Array, figure: str) -> tuple[float, float]:
    """The interval that labkit reports."""
    if figure == "mean":
        mean = statistics.mean_of_samples(samples)
        return mean.low_ms, mean.high_ms
    found = statistics.quantile(samples, float(figure[1:]) / 100)
    return found.low_ms, found.high_ms


def coverage(law: Law, figure: str, *, n: int, experiments: int, seed: int = 20_230_711) -> float:
    """Share of experiments, in %, whose interval has the truth."""
    rng = np.random.default_rng([seed, *f"{law.name} {figure}".encode()])
    truth = law.truth(figure)
    inside = 0
    for _ in range(experiments):
        low, high = interval(law.draw(rng, n), figure)
        inside += low <= truth <= high
    return 100 * inside / experiments


def coverage_of_difference(law: Law, figure: str, *, n: int, experiments: int) -> float:
    """The same for the difference of two runs, the second one 7 ms slower."""
    rng = np.random.default_rng([2, *f"{law.name} {figure}".encode()])
    inside = 0
    for _ in range(experiments):
        a, b = law.draw(rng, n), law.draw(rng, 2 * n) + 7
        found = comparing.difference(a, b, figure=figure, seed=None)
        inside += found.low_ms <= 7 <= found.high_ms
    return 100 * inside / experiments


def run(*, quick: bool) -> None:
    """Print the tables."""
    count = EXPERIMENTS // 10 if quick else EXPERIMENTS
    for title, measure in (
        (f"Coverage of the 95 % intervals, n={N}, {count} experiments (%)", coverage),
        (f"… of the difference of two runs, n={N} and {2 * N} (%)", coverage_of_difference),
    ):
        rows, outside = [], []
        for law in LAWS:
            found = {figure: measure(law, figure, n=N, experiments=count) for figure in FIGURES}
            rows.append((law.name, *(f"{value:.1f}" for value in found.values())))
            outside += [
                f"{law.name} {figure}: {value:.1f}"
                for figure, value in found.items()
                if not LOW <= value <= HIGH
            ]
        print_table(title, ("distribution", *FIGURES), rows)
        print("a cell's own standard error is about 0.7 for 1,000 experiments")
        print(f"outside {LOW:g} to {HIGH:g} %: {'; '.join(outside) or 'none'}\n")
