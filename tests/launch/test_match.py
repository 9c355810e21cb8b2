"""The launcher of matched gains: a calibration study in, flags out."""

import made_injection
import pytest
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import match
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.record.dataset import save


def call(*arguments):
    """Exit code of the launcher; its UserError passes through."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return match.main(command_line.parse(["launch", *arguments]))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Larger sizes gain twice and four times as much."""
    folder = tmp_path_factory.mktemp("calibration")
    results = made_injection.calibration((0.002, 0.004, 0.008, 0.016), lambda p, s: p * 2**s)
    save(results, epath.Path(folder) / "results.nc")
    return folder


def test_flags_of_equal_gain_are_printed(workdir, capsys):
    assert call(f"--workdir={workdir}", "--gain=0.00125") == 0
    *table, peak, relative = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[2:]] == ["4M", "20M", "80M"]
    assert table[1].split()[1:] == ["0.002", "0.004", "0.008", "0.016", "0.00125", "at"]
    name, value = peak.split("=")
    assert name == "--config.run.optimizer.peak"
    assert float(value) == pytest.approx(0.01, rel=0.2)  # 8 rows to a burst
    name, values = relative.split("=")
    assert name == "--config.run.optimizer.relative"
    ratios = [float(v) for v in values.split(",")]
    assert ratios[0] == 1
    assert ratios == pytest.approx([1, 0.5, 0.25], rel=0.2)


def test_the_gain_may_be_left_out(workdir, capsys):
    assert call(f"--workdir={workdir}") == 0
    assert "relative=1,0." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gain=0.5"], "--gain: expected a gain that all sizes have"),
        (["0.5"], "unexpected argument '0.5'"),
    ],
)
def test_bad_input_is_one_line(workdir, arguments, message):
    with pytest.raises(UserError) as caught:
        call(f"--workdir={workdir}", *arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)
