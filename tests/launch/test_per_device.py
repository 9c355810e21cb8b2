"""One process for each device: what each is told, and how they end together."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from launch import _per_device
from launch._per_device import environments, together
from rare_retention.errors import UserError


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """The system's folder of devices, empty."""
    monkeypatch.setattr(_per_device, "DEVICES", str(tmp_path))
    return tmp_path


def test_each_gpu_of_the_machine_has_a_process(devices):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "accel0"):
        (devices / name).touch()
    assert environments({}) == {f"gpu{i}": {"CUDA_VISIBLE_DEVICES": str(i)} for i in range(2)}


def test_those_that_this_process_may_use_are_shared_out(devices):
    """A job of a cluster sees some of the machine's GPUs; parts of one have names."""
    (devices / "nvidia0").touch()
    given = environments({"CUDA_VISIBLE_DEVICES": "2, MIG-7"})
    assert given == {
        "gpu2": {"CUDA_VISIBLE_DEVICES": "2"},
        "gpuMIG-7": {"CUDA_VISIBLE_DEVICES": "MIG-7"},
    }
    assert environments({"TPU_VISIBLE_CHIPS": "3"}).keys() == {"gpu0"}
    (devices / "nvidia0").unlink()
    assert environments({"TPU_VISIBLE_CHIPS": "3"}).keys() == {"tpu3"}


@pytest.mark.parametrize("names", [["accel0", "accel1"], ["vfio/vfio", "vfio/5", "vfio/9"]])
def test_each_tpu_chip_has_a_process_that_knows_no_others(devices, names):
    for name in names:
        (devices / name).parent.mkdir(exist_ok=True)
        (devices / name).touch()
    given = environments({})
    assert [own["TPU_VISIBLE_CHIPS"] for own in given.values()] == ["0", "1"]
    assert [own["TPU_PROCESS_PORT"] for own in given.values()] == ["8476", "8477"]
    for own in given.values():
        assert own["TPU_PROCESS_BOUNDS"] == own["TPU_CHIPS_PER_PROCESS_BOUNDS"] == "1,1,1"
        assert own["TPU_PROCESS_ADDRESSES"] == f"localhost:{own['TPU_PROCESS_PORT']}"


def test_without_devices_it_is_refused(devices):
    with pytest.raises(UserError, match="there is no GPU or TPU here; start as many workers"):
        environments({"CUDA_VISIBLE_DEVICES": ""})


RECORD = """
import os, sys
print("sees", os.environ["CUDA_VISIBLE_DEVICES"], os.environ["KEPT"])
sys.stderr.write("bar 1\\rbar 2\\rbar 3\\n\\n")
"""


def test_a_process_sees_its_own_device_and_says_which(capfd, monkeypatch):
    monkeypatch.setenv("KEPT", "as it was")
    each = {f"gpu{i}": {"CUDA_VISIBLE_DEVICES": str(i)} for i in range(3)}
    assert together([sys.executable, "-c", RECORD], each) == 0
    printed = capfd.readouterr().out.splitlines()
    assert sorted(line for line in printed if "sees" in line) == [
        f"gpu{i}: sees {i} as it was" for i in range(3)
    ]
    assert sorted(line for line in printed if "bar" in line) == [f"gpu{i}: bar 3" for i in range(3)]
    assert len(printed) == 6


@pytest.mark.parametrize(
    ("endings", "code"),
    [(["0", "0"], 0), (["0", "1"], 1), (["2", "1"], 2), (["0", "-9"], 0), (["-9", "-9"], 1)],
)
def test_the_others_do_the_work_of_one_that_is_killed(endings, code, capfd):
    end = "import os; e = int(os.environ['END']); e < 0 and os.kill(os.getpid(), -e); os._exit(e)"
    each = {f"gpu{i}": {"END": ending} for i, ending in enumerate(endings)}
    assert together([sys.executable, "-c", end], each) == code
    assert capfd.readouterr().err.count("its worker was killed by signal 9") == endings.count("-9")


WAIT = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(130))
print("ready", flush=True)
time.sleep(60)
"""


def test_a_signal_is_handed_on(capfd):
    def ask():
        while capfd.readouterr().out.count("ready") < 1:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    before = signal.getsignal(signal.SIGTERM)
    asking.start()
    assert together([sys.executable, "-c", WAIT], {"gpu0": {}}) == 130
    asking.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert subprocess.run(["true"], check=True)
