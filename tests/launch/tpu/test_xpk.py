"""xpk's command from a spec."""

import shutil
import subprocess

import made_slices
import pytest

from launch.tpu import xpk
from launch.tpu.topology import FAMILIES

IMAGE = "us-docker.pkg.dev/my-project/images/rare"


def test_the_command_has_the_slices_and_what_runs_there():
    spec = made_slices.spec(slices=2, api="gke")
    words = xpk.command(spec, IMAGE, "mine")
    assert {"--tpu-type=v5litepod-16", "--num-slices=2", "--cluster=mine", "--spot"} <= set(words)
    assert f"--command=python {' '.join(spec.module)}" in words
    assert "--env=LIBTPU_INIT_ARGS=--xla_a=true --xla_b=1" in words


def test_each_capacity_is_asked_for_as_such():
    reserved = made_slices.spec(api="gke", capacity="reserved", reservation="r")
    assert "--reservation=r" in xpk.command(reserved, IMAGE, "mine")
    assert "--on-demand" in xpk.command(made_slices.spec(capacity="on_demand"), IMAGE, "mine")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("xpk") is None, reason="xpk is not installed")
@pytest.mark.parametrize("family", FAMILIES)
def test_xpk_takes_its_command(family):
    topology = "v6e:4x4" if family == "v6e" else f"{family}:{FAMILIES[family].shapes[3]}"
    reserved = {"capacity": "reserved", "reservation": "mine"} if family == "v5p" else {}
    spec = made_slices.spec(topology, api="gke", **reserved)
    words = [*xpk.command(spec, IMAGE, "cluster"), "--dry-run", "--skip-validation"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"gke-tpu-topology: {spec.topology.shape}" in done.stdout
    assert f"gke-tpu-accelerator: {spec.topology.about.gke}" in done.stdout
    assert f"completions: {spec.topology.hosts} " in done.stdout
