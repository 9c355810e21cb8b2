"""Peaks and memory of devices."""

import jax
import pytest

from rare_retention.watch.devices import memory, peak


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("TPU v5 lite", 197e12),
        ("TPU v5", 459e12),
        ("TPU v6 lite", 918e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA H1000", None),
        ("TPU v50", None),
        ("cpu", None),
    ],
)
def test_the_longest_name_counts(kind, expected):
    assert peak(kind) == expected


class Device:
    def __init__(self, stats):
        self.memory_stats = lambda: stats


def test_memory_is_that_of_the_fullest_device():
    told = [{"bytes_in_use": n * 1e9, "peak_bytes_in_use": n * 2e9, "x": 1} for n in (1, 3)]
    found = memory([Device(told[0]), Device(told[1]), Device(None)])
    assert found == {"device_memory/in_use_gb": 3.0, "device_memory/peak_gb": 6.0}


def test_where_jax_does_not_tell_there_is_none():
    assert memory([Device({"x": 1})]) == {}
    assert memory(jax.local_devices()) == {}  # CPUs
