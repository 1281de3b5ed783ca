"""Headless runs: the notebooks by papermill, into a run folder with figures and a report."""

from labkit.runs.headless import RunResult, run_lab
from labkit.runs.resuming import find_run, params_of, resume_run

__all__ = ["RunResult", "find_run", "params_of", "resume_run", "run_lab"]
