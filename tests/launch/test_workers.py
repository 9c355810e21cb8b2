"""What launchers of several workers are told."""

import pytest
from absl import flags
from absl.testing import flagsaver

from launch import _workers
from rare_retention.errors import UserError


@pytest.mark.parametrize("own", [["--workdir=x"], ["-workdir", "x"], ["--config=y", "--workdir=x"]])
def test_the_workers_are_counted_once_they_know_their_workdir(own):
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["launch", "--workers=3", "--gpus=2"])
        assert _workers.count(own) == 3 and _workers.GPUS.value == 2


@pytest.mark.parametrize("own", [[], ["--config=workdir"]])
def test_without_a_workdir_they_are_refused(own):
    with pytest.raises(UserError, match=r"own flags are missing: ... -- --workdir=FOLDER"):
        _workers.count(own)
