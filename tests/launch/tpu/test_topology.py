"""Topologies: chips, hosts and Google's names for them."""

import pytest

from launch.tpu.topology import FAMILIES, Topology, parse
from rare_retention.errors import UserError


@pytest.mark.parametrize(
    ("text", "chips", "hosts", "accelerator", "machine"),
    [
        ("v4:2x2x1", 4, 1, "v4-8", "ct4p-hightpu-4t"),
        ("v4:4x4x8", 128, 32, "v4-256", "ct4p-hightpu-4t"),
        ("v5e:1x1", 1, 1, "v5litepod-1", "ct5lp-hightpu-1t"),
        ("v5e:2x4", 8, 1, "v5litepod-8", "ct5lp-hightpu-8t"),
        ("v5e:4x4", 16, 4, "v5litepod-16", "ct5lp-hightpu-4t"),
        ("v5e:16x16", 256, 64, "v5litepod-256", "ct5lp-hightpu-4t"),
        ("v5p:2x2x2", 8, 2, "v5p-16", "ct5p-hightpu-4t"),
        ("v6e:2x2", 4, 1, "v6e-4", "ct6e-standard-4t"),
        ("tpu7x:2x2x2", 8, 2, "tpu7x-16", "tpu7x-standard-4t"),
    ],
)
def test_a_topology_has_googles_names(text, chips, hosts, accelerator, machine):
    topology = parse(text)
    assert (topology.chips, topology.hosts) == (chips, hosts)
    assert (topology.accelerator_type, topology.machine_type) == (accelerator, machine)
    assert str(topology) == text


@pytest.mark.parametrize("family", FAMILIES)
def test_hosts_share_all_chips(family):
    for shape in FAMILIES[family].shapes:
        topology = Topology(family, shape)
        assert topology.hosts * topology.chips_per_host == topology.chips
    types = [Topology(family, shape).accelerator_type for shape in FAMILIES[family].shapes]
    assert len(set(types)) == len(types)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("v5e:4x5", "v5e comes as 1x1, 2x2, 2x4, 4x4"),
        ("v5litepod-16", "did you mean v5e:4x4?"),
        ("v5p-16", "did you mean v5p:2x2x2?"),
        ("v5e-4x4", "did you mean v5e:4x4?"),
        ("v6:4x4", "did you mean v6e:4x4?"),
        ("h100", "FAMILY is one of v4, v5e, v5p, v6e, tpu7x"),
    ],
)
def test_what_is_no_topology_is_refused(text, says):
    with pytest.raises(UserError) as refused:
        parse(text)
    assert says in str(refused.value) and "\n" not in str(refused.value)
