"""Killed at any time and started again, a study ends with the same bits.

`FAULTS=1000 python -m pytest tests/faults`, or `make faults`, kills each setting a hundred times.
"""

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.record import metrics
from rare_retention.record.checkpoints import verify
from rare_retention.record.holder import started
from rare_retention.record.manifest import read_manifest
from rare_retention.record.records import RETENTION, steps_in

KILLS = max(int(os.environ.get("FAULTS", "20")) // 10, 2)

REGRESSION = {**tiny.CHANGES, "run.steps": "192", "run.snapshots.every": "64"}
LANGUAGE = {
    "run.setting.corpus.vocabulary": tiny_text.VOCABULARY,
    "run.setting.corpus.end_of_document": tiny_text.END,
    "run.setting.corpus.held_out": 5,
    "run.setting.window": 16,
    "run.setting.sizes": "('1x8x16x1',)",
    "run.setting.tasks": "({'kind': 'comparison', 'per_token': 0.01, 'symbols': 9},)",
    "run.setting.watch": "(1,)",
    "run.optimizer.horizon": 128,
    "run.optimizer.warmup": 1,
    "run.batch": 8,
    "run.steps": 128,
    "run.measure.every": 16,
    "run.snapshots.every": 32,
    "run.checkpoints.every": 16,
    "run.mesh.data": 1,
    "streams": 1,
    "branches": "()",
    "grid": "()",
    "figures": "()",
    "claims": "()",
}
CONFIGS = {
    "regression": ("configs/synthetic/injection.py", REGRESSION),
    "language": ("configs/quickstart_lm.py", LANGUAGE),
}


class Process:
    """A process that `forks.py` has started."""

    def __init__(self, forks, arguments, said):
        self._forks, self._said = forks, said
        self.pid = self._ask([arguments, str(said)])

    def _ask(self, what):
        self._forks.stdin.write(json.dumps(what) + "\n")
        self._forks.stdin.flush()
        return json.loads(self._forks.stdout.readline())

    def is_killed(self, seconds):
        """Kills it unless it ends by itself before; whether it was killed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not started(self.pid):
                return False
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)
        return True

    def ended(self):
        """Its exit code, and what it has said."""
        return self._ask([self.pid]), self._said.read_text(errors="replace")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """f(setting, workdir) -> a process of `launch.study` that has been started."""
    folder, root = tmp_path_factory.mktemp("said"), Path(__file__).parents[2]
    command = [sys.executable, Path(__file__).with_name("forks.py")]
    number = itertools.count()
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(root)},
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as forks:

        def begin(setting, workdir, *more):
            config, changes = CONFIGS[setting]
            if setting == "language":
                changes = changes | {"run.setting.corpus.path": tiny_text.corpus().path}
            flags = [f"--config.{name}={value}" for name, value in changes.items()]
            arguments = [f"--config={config}", *flags, f"--workdir={workdir}", *more]
            return Process(forks, arguments, folder / str(next(number)))

        yield begin
        forks.stdin.close()


def kept(workdir):
    """All that a run has kept, as arrays."""
    (run,) = epath.Path(workdir / "runs").iterdir()
    assert read_manifest(run).status == "finished"
    snapshots = {step: verify(run / RETENTION, step) for step in steps_in(run / RETENTION)}
    return metrics.read(run), snapshots


@pytest.mark.slow
@pytest.mark.parametrize("setting", CONFIGS)
def test_a_killed_study_ends_with_the_same_bits(setting, tmp_path, start, record_property):
    assert start(setting, tmp_path / "compiled").ended()[0] == 0
    begin = time.monotonic()
    assert start(setting, tmp_path / "whole").ended()[0] == 0
    lasted = time.monotonic() - begin
    values, snapshots = kept(tmp_path / "whole")
    rng, left, tries = random.Random(setting), KILLS, 0
    while left > 0:
        workdir = tmp_path / f"killed-{tries}"
        tries += 1
        for _ in range(3):
            process = start(setting, workdir)
            killed = process.is_killed(rng.uniform(0.1, 1.0) * lasted)
            left -= killed
            code, said = process.ended()
            assert code in (0, -9), said
            if not killed:
                break
        code, said = start(setting, workdir).ended()
        assert code == 0, said
        again, others = kept(workdir)
        assert again.keys() == values.keys() and others.keys() == snapshots.keys()
        for name, own in values.items():
            np.testing.assert_array_equal(again[name], own, err_msg=name)
        same = [
            np.array_equal(a, b)
            for step in snapshots
            for a, b in zip(_leaves(snapshots[step]), _leaves(others[step]), strict=True)
        ]
        assert all(same)
        shutil.rmtree(workdir)
    record_property("tried", f"{setting:<12}{KILLS - left} kills in {tries} studies: the same bits")


def _leaves(tree):
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in _leaves(tree[name])]
    return [np.asarray(tree)]


@pytest.mark.slow
@pytest.mark.parametrize("setting", CONFIGS)
def test_second_processes_are_refused_and_change_nothing(setting, tmp_path, start, record_property):
    """By --unit; without it they would share the study, and wait for each other."""
    assert start(setting, tmp_path / "whole").ended()[0] == 0
    values, _ = kept(tmp_path / "whole")
    refused, tries = 0, 0
    while refused < max(KILLS // 10, 2):
        workdir = tmp_path / f"shared-{tries}"
        tries += 1
        three = [start(setting, workdir, "--unit=stream=0") for _ in range(3)]
        codes = [process.ended() for process in three]
        assert 0 in dict(codes)
        for code, said in codes:
            assert code in (0, 2), said  # who comes when all is done finds nothing to do
            if code == 2:
                refused += 1
                line = said.strip().splitlines()[-1]
                assert re.search(r"stream=0: is being written by process \d+ on .* since ", line)
        again, _ = kept(workdir)
        for name, own in values.items():
            np.testing.assert_array_equal(again[name], own, err_msg=name)
    record_property("tried", f"{setting:<12}{refused} second processes refused")
