"""Where the notebooks and params files are that labkit brings: in the package, or in the clone."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
FIRST = "00_start_here.ipynb"


def folder(name: str) -> Path:
    """The folder `notebooks` or `params`: of the installed package, else of the clone."""
    packaged = PACKAGE / "data" / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name


NOTEBOOKS = folder("notebooks")
PARAMS = folder("params")
