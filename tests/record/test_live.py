"""The small file that says how far a run is."""

import numpy as np
import pytest
from etils import epath

from rare_retention.record.live import NAME, Live, loss_by_size, read_live, write_live
from rare_retention.settings.student import Student

LIVE = Live(step=7, steps=9, doing="training", rate=2.5, loss={"4M": 0.5}, loss_step=6, time=1.5)


def test_what_is_written_is_read(tmp_path):
    folder = epath.Path(tmp_path)
    assert read_live(folder) is None
    write_live(folder, LIVE)
    assert read_live(folder) == LIVE


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"step": "x", "steps": 9, "doing": ""}', "\0"])
def test_a_damaged_one_is_none(text, tmp_path):
    (tmp_path / NAME).write_text(text)
    assert read_live(epath.Path(tmp_path)) is None


def test_what_a_later_version_adds_is_passed_over(tmp_path):
    write_live(epath.Path(tmp_path), LIVE)
    text = (tmp_path / NAME).read_text()
    (tmp_path / NAME).write_text(text.replace("{", '{"later": 1,', 1))
    assert read_live(epath.Path(tmp_path)) == LIVE


def test_initialisations_of_a_size_are_averaged():
    students = [Student("a", 2, 2, 8, i) for i in (0, 1)] + [Student("b", "4M", 8, 32)]
    assert loss_by_size(students, np.array([1.0, 3.0, 5.0])) == {"2": 2.0, "4M": 5.0}
