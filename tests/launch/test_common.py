"""How a job of a launcher starts."""

import jax
import pytest
from absl import flags
from absl.testing import flagsaver

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import UserError


@pytest.fixture
def started(monkeypatch):
    """Function that starts a job of some hosts on an accelerator; returns the folder it caches in.

    The job only believes that it has them: nothing is computed.
    """
    found = {}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(jax.config, "update", found.__setitem__)
    monkeypatch.setattr(common, "quieten", lambda: None)

    def start(*arguments, hosts=1, backend="tpu"):
        monkeypatch.setattr(jax, "process_count", lambda: hosts)
        monkeypatch.setattr(jax, "default_backend", lambda: backend)
        with flagsaver.flagsaver():
            flags.FLAGS.unparse_flags()
            command_line.parse(["x", *arguments])
            common.start()
        return found.get("jax_compilation_cache_dir")

    return start


def test_one_host_keeps_programs_for_all_studies_of_its_user(started, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    home = f"{tmp_path}/.cache/rare_retention/xla"
    assert started("--workdir=runs/x") == started() == home


@pytest.mark.parametrize(("place", "hosts"), [("/shared/x", 4), ("gs://bucket/x", 4),
                                              ("gs://bucket/x", 1)])  # fmt: skip
def test_several_hosts_and_buckets_keep_programs_in_the_workdir(started, place, hosts):
    """The first host alone writes them, where the others read."""
    assert started(f"--workdir={place}", hosts=hosts) == f"{place}/xla"


def test_the_environment_and_the_processor_have_their_way(started, monkeypatch):
    assert started("--workdir=gs://bucket/x", backend="cpu") is None
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    assert started("--workdir=gs://bucket/x") is None


@pytest.fixture
def workdir():
    """Function that gives a launcher a workdir, and returns it."""

    def given(place):
        flags.FLAGS.unparse_flags()
        command_line.parse(["x", f"--workdir={place}"])
        return common.workdir()

    with flagsaver.flagsaver():
        yield given


@pytest.mark.parametrize("place", ["s3://bucket/x", "hdfs://x", "file:///x"])
def test_a_storage_that_nothing_serves_is_said_before_anything_starts(place, workdir):
    with pytest.raises(UserError, match=r"or gs://, \w+:// is not served; mount"):
        workdir(place)


def test_workdirs_do_not_stand_in_one_another(tmp_path, workdir, monkeypatch):
    study, run = tmp_path / "study", tmp_path / "one"
    for folder, mark in ((study, "study.json"), (run, "manifest.json")):
        folder.mkdir()
        (folder / mark).touch()
    for place, kind in ((study, "study"), (run, "run"), (tmp_path / "new" / "x", "study")):
        common.check_place(workdir(place), kind)
    monkeypatch.chdir(study)
    for place, kind, said in (
        (study, "run", "holds a study; choose another folder for a run"),
        (run, "study", "holds a run; choose another folder for a study"),
        (study / "runs" / "stream=0", "run", f"stands in the study {study}; choose a folder out"),
        ("inside", "study", f"--workdir=inside: stands in the study {study}"),
        (run / "x", "study", f"stands in the run {run}"),
    ):
        with pytest.raises(UserError) as caught:
            common.check_place(workdir(place), kind)
        assert said in str(caught.value) and "\n" not in str(caught.value)


def test_hosts_that_are_not_there_are_said_but_in_a_dry_run(started, monkeypatch):
    def alone(*_, **__):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", alone)
    with pytest.raises(UserError, match="--multihost: JAX sees no cluster here"):
        started("--multihost")
    started("--multihost", "--dry_run")
