"""A matplotlib figure that shows itself in a notebook, without pyplot and its global state."""

from io import BytesIO

from matplotlib.figure import Figure

DPI = 120
"""Resolution of a picture in a notebook; equal pictures make equal files."""


class Picture(Figure):
    """A figure whose PNG is what a notebook shows and keeps; drawn once, when it is finished."""

    _drawn: bytes | None = None

    def png(self) -> bytes:
        """The picture as PNG; changes after the first call do not show."""
        if self._drawn is None:
            self._drawn = self._draw()
        return self._drawn

    def _draw(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()
