"""Virtual addresses: pools of pod, node and public addresses.

An address here is only a name: nothing is ever bound to it. A pool hands out each address once,
and freed ones come round again last, so that a stale watcher does not take a new pod for an old
one. It deliberately keeps nothing on disk: the owner reserves what its objects already carry.
"""

import ipaddress
from collections.abc import Iterable

from labkit.errors import StateError


class AddressPool:
    """Addresses of one network, in order.

    Example:
        >>> pool = AddressPool("10.244.0.0/30")
        >>> pool.allocate()
        '10.244.0.1'
    """

    def __init__(self, cidr: str, *, reserved: Iterable[str] = ()) -> None:
        self._network = ipaddress.ip_network(cidr)
        self._count = self._network.num_addresses - 2  # neither network nor broadcast address
        self._used = set(reserved)
        self._next = 0

    def __contains__(self, address: str) -> bool:
        return ipaddress.ip_address(address) in self._network

    def allocate(self) -> str:
        """The next free address.

        Raises:
            StateError: all are in use.
        """
        for _ in range(self._count):
            address = str(self._network[1 + self._next])
            self._next = (self._next + 1) % self._count
            if address not in self._used:
                self._used.add(address)
                return address
        raise StateError(
            f"No free address in {self._network}",
            seen=f"{len(self._used)} in use",
            fix="delete pods or add nodes",
        )

    def reserve(self, address: str) -> bool:
        """Take this very address; False when it is foreign to the pool or in use."""
        if address not in self or address in self._used:
            return False
        self._used.add(address)
        return True

    def release(self, address: str) -> None:
        """Give an address back."""
        self._used.discard(address)


def node_pod_cidr(cluster_cidr: str, index: int) -> str:
    """The pod network of a cluster's node number ``index`` (0, 1, …): a /24 each.

    Example:
        >>> node_pod_cidr("10.244.0.0/16", 2)
        '10.244.2.0/24'
    """
    network = ipaddress.ip_network(cluster_cidr)
    base = network.network_address + index * 256
    subnet = ipaddress.ip_network(f"{base}/24")
    if not subnet.subnet_of(network):  # type: ignore[arg-type] # both are of one version
        raise StateError(f"No /24 number {index} in {cluster_cidr}", fix="use fewer nodes")
    return str(subnet)
