"""The settings of tests/conftest.py are in force, here and in processes that a test starts."""

import subprocess
import sys
import warnings

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
