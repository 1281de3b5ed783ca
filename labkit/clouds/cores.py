"""What the cores of this machine have done, for clusters that share them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CoreTimes:
    """Seconds of all cores since the machine started.

    Attributes:
        cores: how many there are.
        busy_s: spent on programs and the kernel.
        stolen_s: in which a program wanted to run and the host ran other machines; 0 where the
            machine is no virtual one, and on systems that do not say.
        idle_s: in which nobody wanted to run.
    """

    cores: int
    busy_s: float
    stolen_s: float
    idle_s: float

    def since(self, earlier: "CoreTimes") -> dict[str, float]:
        """`cores`, and the shares of their time (0 to 1) that were `busy` and `stolen`."""
        busy_s, stolen_s = self.busy_s - earlier.busy_s, self.stolen_s - earlier.stolen_s
        whole_s = busy_s + stolen_s + self.idle_s - earlier.idle_s
        if whole_s <= 0:
            return {"cores": self.cores, "busy": 0.0, "stolen": 0.0}
        return {
            "cores": self.cores,
            "busy": round(busy_s / whole_s, 4),
            "stolen": round(stolen_s / whole_s, 4),
        }


def core_times() -> CoreTimes:
    """The machine as it is now."""
    import psutil

    found = psutil.cpu_times()._asdict()
    idle_s = found["idle"] + found.get("iowait", 0.0)
    stolen_s = found.get("steal", 0.0)
    # What Linux counts for guests it counts as user time, too.
    counted = sum(found.values()) - found.get("guest", 0.0) - found.get("guest_nice", 0.0)
    cores = psutil.cpu_count() or 1
    return CoreTimes(cores, counted - idle_s - stolen_s, stolen_s, idle_s)
