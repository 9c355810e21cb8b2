"""Killed at any time and started again, a study ends with the same bits.

`FAULTS=1000 python -m pytest tests/faults`, or `make faults`, kills each setting a hundred times.
"""

import os
import random
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.record import metrics
from rare_retention.record.checkpoints import verify
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


def start(setting, workdir):
    config, changes = CONFIGS[setting]
    if setting == "language":
        changes = changes | {"run.setting.corpus.path": tiny_text.corpus().path}
    flags = [f"--config.{name}={value}" for name, value in changes.items()]
    command = [sys.executable, "-m", "launch.study", f"--config={config}", *flags]
    return subprocess.Popen(
        [*command, f"--workdir={workdir}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def ended(process):
    _, said = process.communicate()
    return process.returncode, said.decode(errors="replace")


def kept(workdir):
    """All that a run has kept, as arrays."""
    (run,) = epath.Path(workdir / "runs").iterdir()
    assert read_manifest(run).status == "finished"
    snapshots = {step: verify(run / RETENTION, step) for step in steps_in(run / RETENTION)}
    return metrics.read(run), snapshots


@pytest.mark.slow
@pytest.mark.parametrize("setting", CONFIGS)
def test_a_killed_study_ends_with_the_same_bits(setting, tmp_path):
    begin = time.monotonic()
    assert ended(start(setting, tmp_path / "whole"))[0] == 0
    lasted = time.monotonic() - begin
    values, snapshots = kept(tmp_path / "whole")
    rng, left, tries = random.Random(setting), KILLS, 0
    while left > 0:
        workdir = tmp_path / f"killed-{tries}"
        tries += 1
        for _ in range(3):
            process = start(setting, workdir)
            try:
                process.wait(rng.uniform(0.2, 1.0) * lasted)
            except subprocess.TimeoutExpired:
                process.kill()
                left -= 1
            code, said = ended(process)
            assert code in (0, -9), said
        code, said = ended(start(setting, workdir))
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


def _leaves(tree):
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in _leaves(tree[name])]
    return [np.asarray(tree)]


@pytest.mark.slow
@pytest.mark.parametrize("setting", CONFIGS)
def test_second_processes_are_refused_and_change_nothing(setting, tmp_path):
    assert ended(start(setting, tmp_path / "whole"))[0] == 0
    values, _ = kept(tmp_path / "whole")
    refused, tries = 0, 0
    while refused < max(KILLS // 10, 2):
        workdir = tmp_path / f"shared-{tries}"
        tries += 1
        codes = [ended(process) for process in [start(setting, workdir) for _ in range(3)]]
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
