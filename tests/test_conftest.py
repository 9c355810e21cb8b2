"""The settings of tests/conftest.py are in force, here and in processes that a test starts."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest


def test_there_are_eight_devices():
    assert [device.platform for device in jax.devices()] == ["cpu"] * 8


def test_mixed_dtypes_are_refused():
    with pytest.raises(jax.dtypes.TypePromotionError):
        jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.int32)


def test_mixed_ranks_are_refused():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 2)) + jnp.ones(2)


def test_a_started_process_has_the_same_settings():
    ask = "import jax; print(jax.device_count(), jax.config.jax_numpy_dtype_promotion)"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["8", "strict"]


def test_a_warning_of_ours_is_an_error():
    with pytest.raises(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


LEFTOVERS = """
import asyncio

class Leftover:
    def __init__(self):
        self.itself = self

    def __del__(self):
        raise RuntimeError("Event loop is closed")

def test_that_leaves_something():
    asyncio.new_event_loop().close()
    Leftover()

def test_of_something_else():
    import gc
    gc.collect()
"""


def test_what_a_store_leaves_behind_is_laid_at_its_door(tmp_path):
    (tmp_path / "test_leftovers.py").write_text(LEFTOVERS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    options = ["-p", "conftest", "-p", "no:cacheprovider", "-p", "no:xdist", "-v"]
    session = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ERROR test_leftovers.py::test_that_leaves_something" in session.stdout
    assert "test_of_something_else PASSED" in session.stdout
