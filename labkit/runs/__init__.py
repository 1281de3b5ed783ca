"""Headless runs: the notebooks by papermill, into a run folder with figures and a report."""

from labkit.runs.headless import RunResult, run_lab

__all__ = ["RunResult", "run_lab"]
