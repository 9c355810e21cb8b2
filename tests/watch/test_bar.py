"""What stands on the progress bar."""

import pytest

from rare_retention.watch.bar import Bar, words

NAN = float("nan")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((10, None, [], None), "training"),
        ((600, 5.0, [], None), "2m 00s left, 5 steps/s"),
        ((0, 5.0, [0.25], 1e-3), "0s left, 5 steps/s, loss 0.25, learning rate 0.001"),
        ((0, None, [0.25, 0.5, 0.125], None), "loss 0.125 to 0.5"),
        ((0, None, [0.25, NAN], None), "loss 0.25, 1 of 2 losses not finite"),
        ((0, None, [NAN], None), "1 of 1 losses not finite"),
    ],
)
def test_what_is_known_is_said(arguments, expected):
    assert words(*arguments) == expected


def test_it_starts_where_the_run_goes_on(capsys):
    bar = Bar("unit", 40, 100, quiet=False)
    bar.say("compiling")
    bar.reached(50, "5 steps/s")
    bar.close()
    drawn = capsys.readouterr().err.split("\r")
    assert any("40/100" in line and "starting" in line for line in drawn)
    assert any("40/100" in line and "compiling" in line for line in drawn)
    assert "unit:  50%" in drawn[-1] and "50/100" in drawn[-1] and "5 steps/s" in drawn[-1]


def test_hosts_but_the_first_draw_none(capsys):
    bar = Bar("unit", 0, 100, quiet=True)
    bar.say("compiling")
    bar.reached(50, "")
    bar.close()
    assert not capsys.readouterr().err
