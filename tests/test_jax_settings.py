"""Settings of JAX that a run refuses."""

import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest

from rare_retention import jax_settings
from rare_retention.errors import UserError


def test_settings_as_they_come_are_right():
    jax_settings.check()
    assert all(hasattr(jax.config, name) for name in jax_settings.WANTED)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_enable_x64", True),
        ("jax_default_prng_impl", "rbg"),
        ("jax_random_seed_offset", 7),
    ],
)
def test_a_setting_that_changes_results_is_one_line(name, value):
    with pytest.raises(UserError, match=f"^{name.upper()}={value}: ") as caught:
        jax_settings.check(SimpleNamespace(**{name: value}))
    assert "\n" not in str(caught.value)


def test_a_launcher_says_so_before_anything_is_made(tmp_path):
    command = [
        sys.executable, "-m", "launch.study", "--config=configs/quickstart.py",
        f"--workdir={tmp_path}/x",
    ]  # fmt: skip
    changed = dict(os.environ, JAX_ENABLE_X64="1")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=changed)
    assert done.returncode == 2 and done.stderr.startswith("JAX_ENABLE_X64=True: runs compute and")
    assert not (tmp_path / "x").exists()
