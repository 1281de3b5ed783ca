import pytest

from labkit.embedded.addresses import AddressPool, node_pod_cidr
from labkit.errors import StateError


def test_addresses_are_handed_out_in_order_and_once():
    pool = AddressPool("10.244.0.0/29")
    assert [pool.allocate() for _ in range(3)] == ["10.244.0.1", "10.244.0.2", "10.244.0.3"]


def test_a_freed_address_comes_round_last():
    pool = AddressPool("10.244.0.0/30")
    first, second = pool.allocate(), pool.allocate()
    with pytest.raises(StateError, match="No free address"):
        pool.allocate()
    pool.release(second)
    pool.release(first)
    assert pool.allocate() == first


def test_a_reserved_address_is_not_handed_out():
    pool = AddressPool("10.244.0.0/29")
    assert pool.reserve("10.244.0.1")
    assert not pool.reserve("10.244.0.1")
    assert not pool.reserve("10.245.0.1")
    assert pool.allocate() == "10.244.0.2"


def test_each_node_has_its_own_part_of_the_network():
    assert node_pod_cidr("10.244.0.0/16", 0) == "10.244.0.0/24"
    assert node_pod_cidr("10.245.0.0/16", 255) == "10.245.255.0/24"
    with pytest.raises(StateError):
        node_pod_cidr("10.245.0.0/16", 256)
