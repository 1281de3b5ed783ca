"""Sweeps: the same walk for many pairs of regions, one run folder each, resumable.

`points` says what is to be run, `file` reads it from YAML, `folder` knows what is done, `attempt`
runs one point in a process of its own, `local` and `dask_cluster` run many, `running` leads it all,
and `results` puts the figures side by side.
"""

from labkit.runs.sweep.points import Point, SweepSpec

__all__ = ["Point", "SweepSpec"]
