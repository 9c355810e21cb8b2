"""Settings of every test: eight fake devices, and JAX at its strictest.

They are environment variables set before JAX is imported, so that launchers that a test starts as
processes of their own have them too.
"""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

DEVICES = "--xla_force_host_platform_device_count"
CI = bool(os.environ.get("CI"))
ROOT = Path(__file__).resolve().parent.parent

if "jax" in sys.modules:
    raise RuntimeError("JAX was imported before tests/conftest.py could set it up")

flags = os.environ.get("XLA_FLAGS", "")
if DEVICES not in flags:
    # Tests compile much and run little: without LLVM's optimisations they take half the time.
    fast = "--xla_backend_optimization_level=0"
    os.environ["XLA_FLAGS"] = f"{flags} {DEVICES}=8 {fast}".strip()
os.environ |= {
    "JAX_PLATFORMS": "cpu",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_DEFAULT_PRNG_IMPL": "threefry2x32",
    "JAX_THREEFRY_PARTITIONABLE": "true",
    "MPLBACKEND": "Agg",
    # Failing examples are kept for replay among pytest's own caches.
    "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".pytest_cache" / "hypothesis"),
}

# Derandomised runs draw the same examples every time and keep none.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if CI else "local")


@pytest.fixture(autouse=True, scope="session")
def forgotten_texts(tmp_path_factory):
    """What is kept about token files is kept apart from the user's cache."""
    from rare_retention.data import known

    known.FOLDER = str(tmp_path_factory.mktemp("texts"))
