"""labkit: a two-cluster, two-region Linkerd service mesh lab, driven from notebooks.

`open_lab` is all a notebook needs.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.lab import Lab, open_lab

__version__ = "0.1.0"
__all__ = ["Lab", "__version__", "open_lab"]


def __getattr__(name: str) -> object:
    """Import the lab when it is first asked for, so that `labkit --help` answers at once."""
    if name in ("Lab", "open_lab"):
        from labkit import lab

        return getattr(lab, name)
    raise AttributeError(name)
