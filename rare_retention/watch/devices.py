"""What is known of the devices: their peak, and the memory in use."""

import re
from typing import Any

GB = 1e9

PEAKS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU7x": 2307e12 / 2,
    "NVIDIA A100": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA GH200": 989e12,
}
"""Dense bfloat16 operations a second of a device, by how JAX calls it, as its maker states them.

JAX counts two devices in a chip of TPU7x, whose peak is of the chip.
"""


def peak(kind: str) -> float | None:
    """Dense bfloat16 operations a second of a device; None where they are not known.

    Args:
        kind: `device_kind` of JAX, such as "NVIDIA H100 80GB HBM3"; of the names in
            `PEAKS` the longest that it begins with counts.
    """
    own = [name for name in PEAKS if re.match(rf"{name}(?![a-zA-Z0-9])", kind)]
    return PEAKS[max(own, key=len)] if own else None


def memory(devices: list[Any]) -> dict[str, float]:
    """Memory of the fullest of some devices in GB; nothing where JAX does not tell, as on a CPU.

    Args:
        devices: of this process, `jax.local_devices()`.
    """
    told = [stats for device in devices if (stats := device.memory_stats())]
    names = {"in_use_gb": "bytes_in_use", "peak_gb": "peak_bytes_in_use"}
    return {
        f"device_memory/{name}": max(stats[key] for stats in told) / GB
        for name, key in names.items()
        if told and all(key in stats for stats in told)
    }
