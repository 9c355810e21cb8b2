"""The container for GKE has what the launchers need."""

import re
from pathlib import Path

import pytest

from launch.tpu import remote

ROOT = Path(__file__).parents[3]
LINES = (ROOT / "launch" / "tpu" / "Dockerfile").read_text().splitlines()


def words(instruction):
    return [line.split()[1:] for line in LINES if line.startswith(instruction + " ")]


def test_all_that_is_copied_is_there():
    copied = [name for *names, _ in words("COPY") for name in names]
    assert copied and all((ROOT / name).exists() for name in copied)
    packages = re.findall(r"^    (\w+)\*$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert {*packages, "setup.cfg", "pyproject.toml", "constraints.txt"} <= set(copied)


@pytest.mark.parametrize("what", ["-c constraints.txt -e '.[tpu,gcs]'", remote.PYTHON])
def test_it_installs_what_hosts_of_slices_install(what):
    assert any(what in line for line in LINES) and what in remote.setup.__globals__["_INSTALL"]
