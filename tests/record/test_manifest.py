"""What a manifest says of a run and of the process that wrote it."""

import importlib.metadata
import sys

import jax
import pytest
from etils import epath

from rare_retention.record import manifest


def test_a_manifest_keeps_its_first_start(tmp_path, monkeypatch):
    folder = epath.Path(tmp_path)
    assert manifest.read_manifest(folder) is None
    for now, status in (("2030-01-01", "running"), ("2030-01-02", "finished")):
        monkeypatch.setattr(manifest, "_now", lambda now=now: now)
        manifest.write_manifest(folder, status=status, seconds=3.0)
    about = manifest.read_manifest(folder)
    assert (about["started"], about["written"]) == ("2030-01-01", "2030-01-02")
    assert (about["status"], about["seconds"]) == ("finished", 3.0)
    assert {"command", "versions", "hardware"} <= about.keys()


def test_versions_are_of_what_is_installed(monkeypatch):
    """The project itself may run from a checkout."""
    read = importlib.metadata.version

    def version(name):
        if name == "rare-retention":
            raise importlib.metadata.PackageNotFoundError
        return read(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = manifest.versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["jax"] == jax.__version__
    assert found.keys() == {"python", *manifest.PACKAGES} - {"rare-retention"}


def test_hardware_counts_devices_of_all_hosts():
    assert manifest.hardware()["devices"] == 8
    assert (manifest.hardware()["platform"], manifest.hardware()["hosts"]) == ("cpu", 1)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["/home/me/launch/study.py", "--workdir=a b"], "python -m launch.study '--workdir=a b'"),
        (["launch/study.py"], "python -m launch.study"),
        (["/usr/bin/pytest", "-q", "x y"], "/usr/bin/pytest -q 'x y'"),
    ],
)
def test_a_command_can_be_typed_again(monkeypatch, argv, line):
    monkeypatch.setattr(sys, "argv", argv)
    assert manifest.command() == line


def test_times_are_utc(monkeypatch):
    monkeypatch.setattr("time.gmtime", lambda: (2030, 1, 2, 3, 4, 5, 0, 0, 0))
    assert manifest._now() == "2030-01-02T03:04:05Z"
