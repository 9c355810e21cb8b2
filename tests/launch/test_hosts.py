"""Two hosts train as one: real processes that exchange gradients over the loopback."""

import os
import socket
import subprocess
import sys

import numpy as np
import tiny
from etils import epath

from rare_retention.record import metrics
from rare_retention.record.checkpoints import verify
from rare_retention.record.records import RESUME, RETENTION, steps_in


def start(workdir, **environment):
    own = tiny.CHANGES | {"run.mesh.data": "-1"}
    changes = [f"--config.{name}={value}" for name, value in own.items()]
    command = [
        sys.executable,
        "-m",
        "launch.train",
        "--config=configs/synthetic/injection.py",
        *changes,
    ]
    command += [f"--workdir={workdir}", *(["--multihost"] if environment else [])]
    return subprocess.Popen(
        command,
        env=os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_hosts_record_what_one_does(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    alone = start(tmp_path / "alone")
    hosts = [
        start(
            tmp_path / "hosts",
            JAX_COORDINATOR_ADDRESS=address,
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(index),
        )
        for index in range(2)
    ]
    for process in (alone, *hosts):
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
    one, two = (epath.Path(tmp_path) / name for name in ("alone", "hosts"))
    mine, theirs = metrics.read(one), metrics.read(two)
    assert mine.keys() == theirs.keys()
    for name in ("step", "loss", "signal", "train_loss", "reference"):
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-3, atol=1e-5, err_msg=name)
    for root in (RESUME, RETENTION):
        assert steps_in(two / root) == steps_in(one / root)
        verify(two / root, steps_in(two / root)[-1])
