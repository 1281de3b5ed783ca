"""Watches one lab: every part is read in a thread of its own, and put together when asked for.

It survives the lab's end and return: with a new kubeconfig the clients are made anew. It changes
nothing in the lab; `set_wan` and `reset_wan` do what the user asks for and nothing else.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil

from labkit.catch_up import number
from labkit.chapters import CHAPTERS
from labkit.checks import Report
from labkit.clouds import Costs, WanState
from labkit.context import CLUSTERS
from labkit.dashboard import reading
from labkit.dashboard.following import Follower
from labkit.dashboard.polling import Attention, Poll
from labkit.dashboard.snapshot import ChapterState, ClusterView, Probe, Snapshot
from labkit.errors import LabkitError, StateError
from labkit.folder import LabFolder
from labkit.lab import Lab
from labkit.opening import find_lab

FIGURES_S = 2.5
"""Pause between readings of figures; a change shows within two of them."""
CHECKS_S = 4.0
"""Pause between the checks of two chapters."""
COSTS_S = 60.0
WATCHED = tuple(n for n in map(number, CHAPTERS) if "01" <= n <= "09")
"""Chapters whose checks can hold all the time; 10 measures and 99 takes everything down."""
TITLES = {number(m): m.__name__.rpartition(".")[2].replace("_", " ") for m in CHAPTERS}


@dataclass(frozen=True)
class Network:
    """The network between the regions, or why it cannot be set; neither while it was not read."""

    state: WanState | None = None
    why: str = ""


class Current:
    """The lab as it is now; its clients are made anew when its kubeconfig is another one.

    Args:
        lab_name: of the lab.
        changed: is called after the lab was found to be another one.
    """

    def __init__(self, lab_name: str, changed: Callable[[], None]) -> None:
        self.lab_name = lab_name
        self._changed = changed
        self._lock = threading.Lock()
        self._lab: Lab | None = None
        self._stamp: tuple[int, int] | None = None

    def lab(self) -> Lab:
        """The lab.

        Raises:
            StateError: it is down.
        """
        with self._lock:
            stamp = self._read_stamp()
            if self._lab is None or stamp != self._stamp:
                self.close()
                self._lab, self._stamp = find_lab(self.lab_name), stamp
                self._changed()
            return self._lab

    def _read_stamp(self) -> tuple[int, int]:
        known = self._lab or find_lab(self.lab_name)
        try:
            found = known.folder.kubeconfig.stat()
        except OSError:
            self._stamp = None
            raise StateError(
                f"The lab {self.lab_name} is down",
                seen="it has no clusters",
                fix="`labkit up`, or notebook 01_clusters; this page goes on by itself",
            ) from None
        return found.st_mtime_ns, found.st_ino

    def close(self) -> None:
        """Close what the clients hold open."""
        if self._lab is not None:
            self._lab.close()
            self._lab = None


class Watcher:
    """Everything that is read of one lab.

    Args:
        lab_name: of a lab that exists, up or down.
    """

    def __init__(self, lab_name: str) -> None:
        self.lab_name = lab_name
        self.attention = Attention()
        self.current = Current(lab_name, self._forget)
        self._chapters: dict[str, ChapterState] = {}
        self._next = WATCHED[0]
        self.clusters: dict[str, Poll[ClusterView]] = {
            name: self._poll(name, partial(self._cluster, name)) for name in CLUSTERS
        }
        self.probe: Poll[Probe | None] = self._poll("gateway probe", self._probe)
        self.wan: Poll[Network] = self._poll("network", self._wan)
        self.costs: Poll[Costs] = self._poll("costs", self._costs, COSTS_S)
        self.checks: Poll[None] = self._poll("checks", self._check, CHECKS_S)
        self.tap = Follower(self.current.lab, self.attention)

    def _poll(self, name: str, read: Callable[[], Any], period_s: float = FIGURES_S) -> Poll[Any]:
        return Poll(name, read, period_s=period_s, attention=self.attention)

    @property
    def _polls(self) -> tuple[Poll[Any], ...]:
        return (*self.clusters.values(), self.probe, self.wan, self.costs, self.checks)

    @property
    def _parts(self) -> tuple[Poll[Any] | Follower, ...]:
        return (*self._polls, self.tap)

    def start(self) -> None:
        """Begin; nothing is read before somebody looks."""
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """End every thread and process."""
        self.attention.end()
        self._end_commands()
        for part in self._parts:
            part.join()
        self.current.close()

    def _end_commands(self) -> None:
        """End the commands that are under way; they are known by the lab's kubeconfig."""
        own = str(LabFolder.of(self.lab_name).kubeconfig)
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if child.environ().get("KUBECONFIG") == own:
                    child.terminate()

    def snapshot(self) -> Snapshot:
        """What is known now; asks for nothing, and keeps the reading going."""
        self.attention.look()
        try:
            lab = self.current.lab()
        except LabkitError as error:
            self._forget()
            return Snapshot(at_s=time.time(), lab=self.lab_name, down=str(error))
        now = time.time()
        network = self.wan.reading.value or Network()
        return Snapshot(
            at_s=now,
            lab=self.lab_name,
            cloud=lab.cloud.name,
            regions=lab.regions,
            clusters={
                name: poll.reading.value
                for name, poll in self.clusters.items()
                if poll.reading.value is not None
            },
            probe=self.probe.reading.value,
            tapped=self.tap.seen,
            wan=network.state,
            wan_why=network.why,
            costs=self.costs.reading.value,
            chapters=tuple(self._chapters.get(n, ChapterState(n, TITLES[n])) for n in WATCHED),
            problems=self._problems(),
            ages_s={p.name: now - p.reading.at_s for p in self._polls if p.reading.at_s},
        )

    def set_wan(self, **values: Any) -> WanState:
        """Change the network; as `labkit wan set`.

        Raises:
            LabkitError: the values do not fit, or the network cannot be set.
        """
        state = self.current.lab().wan().set(**values)
        self.wan.ask()
        return state

    def reset_wan(self) -> WanState:
        """Back to the network that the parameters ask for; as `labkit wan reset`."""
        state = self.current.lab().wan().reset()
        self.wan.ask()
        return state

    def _forget(self) -> None:
        self._chapters = {}
        for part in self._parts:
            part.forget()

    def _problems(self) -> Mapping[str, str]:
        found = {p.name: p.reading.problem for p in self._polls if p.reading.problem}
        return found | ({"tap": self.tap.problem} if self.tap.problem else {})

    def _cluster(self, name: str) -> ClusterView:
        return reading.cluster(self.current.lab(), name)

    def _probe(self) -> Probe | None:
        return reading.probe(self.current.lab())

    def _wan(self) -> Network:
        cloud = self.current.lab().cloud
        control = cloud.wan()
        if control is None:
            return Network(why=f"on cloud {cloud.name} it is a real network")
        return Network(control.show())

    def _costs(self) -> Costs:
        lab = self.current.lab()
        return lab.read_meter() if lab.cloud.bills else lab.cost()

    def _check(self) -> None:
        """The checks of one chapter; after one that does not hold the first is next again."""
        chapter = self._next
        state = chapter_state(chapter, self.current.lab().run_checks([chapter]))
        self._chapters = {**self._chapters, chapter: state}
        place = WATCHED.index(chapter) + 1
        if state.status == "fail" or place == len(WATCHED):
            for later in WATCHED[place:]:
                self._chapters.pop(later, None)
            place = 0
        elif WATCHED[place] not in self._chapters:
            self.checks.ask()  # not looked at yet: no pause
        self._next = WATCHED[place]


def chapter_state(chapter: str, report: Report) -> ChapterState:
    """What the checks of a chapter say together."""
    statuses = [outcome.status for outcome in report.outcomes]
    return ChapterState(
        number=chapter,
        title=TITLES[chapter],
        status="fail" if "fail" in statuses else "warn" if "warn" in statuses else "pass",
        passed=statuses.count("pass"),
        total=len(statuses),
        failures=tuple((o.id, o.reason, o.fix) for o in report.failures),
        at_s=time.time(),
    )
