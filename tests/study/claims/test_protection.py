"""Protection of another task, planted: it changes nothing, or as much as that of the task."""

import made_arms
import pytest

from rare_retention.study.claims import judge

NAME = "protecting_another_gives_nothing"


@pytest.mark.parametrize(("ends", "expected"), [((0.02, 0.9), "holds"), ((0.6, 0.9), "fails")])
def test_what_protecting_another_gives(ends, expected):
    levels = {"even": (0.9, 0.95), "gap 50": (0.0, 0.9), "gap 50, another protected": ends}
    (found,) = judge(made_arms.results(levels), [NAME])
    assert found.verdict == expected and found.kind == "check"
    assert found.estimate == pytest.approx(ends[0], abs=0.02)


def test_without_the_arm_it_is_not_tested():
    (found,) = judge(made_arms.results({"even": (0.9, 0.95), "gap 50": (0.0, 0.9)}), [NAME])
    assert found.note == "the study has no arm such as 'gap 50, another protected'"
