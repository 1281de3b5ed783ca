"""What a node of a droplet size pretends to have."""

import re
from dataclasses import dataclass

_SIZE = re.compile(r"(\d+)vcpu-(\d+)gb")
_GIB = 2**30


@dataclass(frozen=True)
class Capacity:
    """Processors and memory of a node."""

    cpus: int
    memory_gb: int

    @property
    def memory_bytes(self) -> int:
        """Memory in bytes."""
        return self.memory_gb * _GIB

    def capacity(self) -> dict[str, str]:
        """The node's ``status.capacity``."""
        return self._resources(cpu=f"{self.cpus}", memory_kib=self.memory_bytes // 1024)

    def allocatable(self) -> dict[str, str]:
        """What pods may use: a part is kept for the system, as on DOKS."""
        kept_kib = 2**20 + 2**19 if self.memory_gb > 2 else 2**20
        usable = max(self.memory_bytes // 1024 - kept_kib, 2**19)
        return self._resources(cpu=f"{self.cpus * 1000 - 100}m", memory_kib=usable)

    def _resources(self, *, cpu: str, memory_kib: int) -> dict[str, str]:
        return {
            "cpu": cpu,
            "memory": f"{memory_kib}Ki",
            "ephemeral-storage": f"{self.memory_gb * 20 * 2**20}Ki",
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
            "pods": "110",
        }


def capacity_of(size: str) -> Capacity:
    """Read it from a size slug such as ``s-2vcpu-4gb``; anything else counts as that one."""
    found = _SIZE.search(size)
    return Capacity(int(found.group(1)), int(found.group(2))) if found else Capacity(2, 4)
