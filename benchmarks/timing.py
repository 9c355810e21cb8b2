"""Arms timed in turn, so that a busy moment of the machine falls on all of them."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np


def alternate(arms: dict[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """Runs every arm once to warm up, then all of them in turn.

    Args:
        arms: name -> what is timed; it returns what must be ready before the clock stops.
        repeats: rounds.

    Returns:
        Seconds of each arm, [repeats].
    """
    for run in arms.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(repeats):
        for name, run in arms.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def machine() -> str:
    """Processor, usable cores, load, device and versions, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{processor}, {cores} cores, load {os.getloadavg()[0]:.1f} at the start; "
        f"{jax.devices()[0].device_kind} x {jax.device_count()}; jax {jax.__version__}"
    )
