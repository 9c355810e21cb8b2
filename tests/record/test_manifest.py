"""What a manifest says of a run and of the process that wrote it."""

import dataclasses
import importlib.metadata
import json
import sys

import jax
import numpy as np
import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import manifest
from rare_retention.record.files import write_record
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.student import Student


def test_a_manifest_keeps_its_first_start(tmp_path, monkeypatch):
    folder = epath.Path(tmp_path)
    assert manifest.read_manifest(folder) is None
    for now, status in (("2030-01-01", "running"), ("2030-01-02", "finished")):
        monkeypatch.setattr(manifest, "_now", lambda now=now: now)
        manifest.write_manifest(folder, manifest.Manifest(status=status, seconds=3.0))
    about = manifest.read_manifest(folder)
    assert (about.started, about.written) == ("2030-01-01", "2030-01-02")
    assert (about.status, about.seconds) == ("finished", 3.0)
    assert about.command and about.versions["jax"] and about.hardware["devices"] == 8


def test_a_manifest_lists_every_start(tmp_path, monkeypatch):
    """One for each process that takes the run up, and for each time that one does so again."""
    folder = epath.Path(tmp_path)

    def write(status, step, process=1):
        own = {"host": "node3", "process": process, "since": "2030-01-01"}
        monkeypatch.setattr(manifest, "_process", lambda: own)
        manifest.write_manifest(folder, manifest.Manifest(status=status, step=step))
        return [(each["process"], each["step"]) for each in manifest.read_manifest(folder).starts]

    assert write("running", 0) == [(1, 0)]
    assert write("running", 8) == [(1, 0)]  # it goes on
    assert write("stopped", 16) == [(1, 0)]
    assert write("running", 16) == [(1, 0), (1, 16)]
    assert write("running", 32, process=2) == [(1, 0), (1, 16), (2, 32)]  # the other was killed
    assert write("finished", 48, process=2) == [(1, 0), (1, 16), (2, 32)]


def test_what_is_written_is_read_back(tmp_path):
    """With its types: tuples, students, quantities and arrays."""
    folder = epath.Path(tmp_path)
    share = Quantity(("task",), "share", "share of the rows")
    whole = manifest.Manifest(
        identity="abc",
        recipe={"batch": 8, "held": []},
        students=(Student("width_00002", 2, 2, 16, 1),),
        tasks=("a", "b"),
        watch=(1,),
        labels={"block": ("angle", "all")},
        quantities={"loss": share},
        constants={"frequency": manifest.Constant(share, np.array([0.25, np.nan]))},
        planned=(6.0, 2.0),
    )
    manifest.write_manifest(folder, whole)
    found = manifest.read_manifest(folder)
    np.testing.assert_array_equal(found.constants["frequency"].values, [0.25, np.nan])
    known = ("started", "written", "command", "versions", "hardware", "parts", "starts")
    known += ("constants",)
    for each in dataclasses.fields(whole):
        if each.name not in known:
            assert getattr(found, each.name) == getattr(whole, each.name), each.name
    assert found.constants["frequency"].quantity == share


@pytest.mark.parametrize("change", [{"students": None}, {"more": 1}, {"quantities": {"a": {}}}])
def test_a_manifest_that_is_none_is_damaged(tmp_path, change):
    folder = epath.Path(tmp_path)
    manifest.write_manifest(folder, manifest.Manifest())
    path = folder / manifest.NAME
    write_record(path, json.loads(path.read_text()) | change)
    with pytest.raises(UserError, match=r"manifest.json: damaged, not the manifest of a run"):
        manifest.read_manifest(folder)


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


def test_a_part_is_recorded_where_hardware_mesh_or_versions_change(tmp_path, monkeypatch):
    folder, now = epath.Path(tmp_path), {"devices": 1}
    monkeypatch.setattr(manifest, "hardware", lambda: dict(now))
    mesh = {"data": 1}
    for step, devices, data in ((0, 1, 1), (10, 1, 1), (20, 8, 1), (30, 8, 4), (40, 8, 4)):
        now["devices"], mesh = devices, {"data": data}
        manifest.write_manifest(folder, manifest.Manifest(step=step, mesh=mesh))
    found = manifest.read_manifest(folder).parts
    said = [(part["step"], part["hardware"]["devices"], part["mesh"]["data"]) for part in found]
    assert said == [(0, 1, 1), (20, 8, 1), (30, 8, 4)]
    assert all(part["versions"] == manifest.versions() for part in found)
