"""labkit: a two-cluster, two-region Linkerd service mesh lab, driven from notebooks.

`open_lab` is all a notebook of the walk needs; `compare_runs` puts kept runs side by side.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.lab import Lab
    from labkit.opening import open_lab
    from labkit.runs.newest import compare_runs

__version__ = "0.1.0"
__all__ = ["Lab", "__version__", "compare_runs", "open_lab"]


def __getattr__(name: str) -> object:
    """Import the lab when it is first asked for, so that `labkit --help` answers at once."""
    if name == "Lab":
        from labkit.lab import Lab

        return Lab
    if name == "open_lab":
        from labkit.opening import open_lab

        return open_lab
    if name == "compare_runs":
        from labkit.runs.newest import compare_runs

        return compare_runs
    raise AttributeError(name)
