"""JupyterLab in a browser as somebody who read the README uses it: open, run all, look, go on."""

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

WALKED = (
    "00_start_here",
    "01_clusters",
    "02_trust_anchor",
    "03_linkerd",
    "04_multicluster_link",
    "05_emojivoto",
    "06_mirror",
    "07_redirect_traffic",
    "08_verify_mtls",
)
OPEN_MS = 60_000
RUN_S = 180.0


@dataclass
class Seen:
    """What one notebook showed when it had run.

    Attributes:
        name: of the notebook.
        seconds: from opening to its end.
        errors: outputs that are errors.
        unrun: code cells without a number.
        checks: text of the chapter's check, as the browser shows it.
        dialogs: titles of dialogs that were in the way.
    """

    name: str
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    unrun: int = 0
    checks: str = ""
    dialogs: list[str] = field(default_factory=list)


class JupyterLab:
    """One tab with JupyterLab.

    Args:
        page: of Playwright, already at JupyterLab's address.
        folder: of the notebooks, to read what the browser has saved.
    """

    def __init__(self, page: Any, folder: Path) -> None:
        self.page = page
        self.folder = folder

    def walk(self, name: str) -> Seen:
        """Open a notebook, run all its cells, save it, look at its checks."""
        seen, began = Seen(name), time.monotonic()
        self._open(name)
        self._dialogs(seen)
        self._menu("Run", "Run All Cells")
        self._wait_for_the_end(seen)
        seen.checks = self._checks()
        seen.seconds = time.monotonic() - began
        return seen

    def _open(self, name: str) -> None:
        tab = self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tabLabel", has_text=name)
        if name not in self.page.url:  # JupyterLab opens the first one by itself
            item = self.page.locator(".jp-DirListing-item", has_text=f"{name}.ipynb")
            item.first.dblclick(timeout=OPEN_MS)
        tab.first.wait_for(timeout=OPEN_MS)
        self._panel.locator(".jp-Cell").first.wait_for(timeout=OPEN_MS)
        deadline = time.monotonic() + OPEN_MS / 1000
        while not self._has_kernel(name) and time.monotonic() < deadline:
            self.page.wait_for_timeout(200)

    def _has_kernel(self, name: str) -> bool:
        """Whether the notebook's kernel waits for work; the indicator says `idle` before, too."""
        address = urlsplit(self.page.url)
        answer = self.page.request.get(f"{address.scheme}://{address.netloc}/api/sessions")
        return any(
            session["path"].endswith(f"{name}.ipynb")
            and session["kernel"]["execution_state"] == "idle"
            for session in answer.json()
        )

    @property
    def _panel(self) -> Any:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def _status(self, status: str) -> Any:
        return self._panel.locator(f".jp-Notebook-ExecutionIndicator[data-status={status}]")

    def _menu(self, menu: str, entry: str) -> None:
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{menu}$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{entry}$")).click()

    def _dialogs(self, seen: Seen) -> None:
        for dialog in self.page.locator(".jp-Dialog").all():
            seen.dialogs.append(dialog.inner_text()[:200])
            dialog.locator("button.jp-mod-accept").click()

    def _wait_for_the_end(self, seen: Seen) -> None:
        deadline = time.monotonic() + RUN_S
        while time.monotonic() < deadline:
            self.page.wait_for_timeout(500)
            self._dialogs(seen)
            if not self._status("idle").count():
                continue
            self.page.keyboard.press("Control+s")
            self.page.wait_for_timeout(300)
            cells = self._saved(seen.name)
            seen.unrun = sum(cell["execution_count"] is None for cell in cells)
            seen.errors = [
                f"{output['ename']}: {output['evalue']}"
                for cell in cells
                for output in cell["outputs"]
                if output["output_type"] == "error"
            ]
            if not seen.unrun or seen.errors:
                return

    def _saved(self, name: str) -> list[dict[str, Any]]:
        content = json.loads((self.folder / f"{name}.ipynb").read_text())
        return [c for c in content["cells"] if c["cell_type"] == "code" and "".join(c["source"])]

    def _checks(self) -> str:
        """The table of the chapter's checks; the notebook is scrolled to it as a reader would.

        An exercise that nobody has solved has a table of its own below it.
        """
        self._panel.locator(".jp-Notebook").press("Control+End")
        cell = self._panel.locator(".jp-CodeCell", has_text='lab.check("')
        tables = cell.locator(".jp-OutputArea-output table", has_text="What was seen")
        for _ in range(60):
            if tables.count():
                tables.last.scroll_into_view_if_needed()
                return str(tables.last.inner_text())
            self.page.mouse.move(900, 600)
            self.page.mouse.wheel(0, -400)
            self.page.wait_for_timeout(100)
        return ""
