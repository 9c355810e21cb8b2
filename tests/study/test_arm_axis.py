"""Arms as one axis of a grid."""

import pytest
import tiny

from rare_retention.evidence.arms import BOTH, MORE, PROTECTED, STILL
from rare_retention.study.arm_axis import NOT_PROTECTED, axis, bursts, even, never
from rare_retention.study.grid import Study, units

PRIORS = (0.9, 0.1), (0.8, 0.2)


def built(arms, usual=PRIORS[0], more=PRIORS[1]):
    changes = {"setting__tasks__count": 2, "rule": '{"kind": "protection"}'}
    run = tiny.run(**changes)
    return {
        unit.coordinates["arm"]: unit.run
        for unit in units(
            Study(name="x", run=run, grid=(axis(arms, "setting.tasks.prior", usual, more),))
        )
    }


def test_each_arm_sets_what_its_name_says():
    found = built([even(), *bursts(4, PROTECTED, MORE, BOTH, along=0), never(4)])
    said = {
        name: (r.exposure.placement, r.exposure.gap, r.setting.tasks.prior, r.rule.after)
        for name, r in found.items()
    }
    usual, more = PRIORS
    assert said == {
        "even": ("even", 1, usual, NOT_PROTECTED),
        "gap 4": ("burst", 4, usual, NOT_PROTECTED),
        "gap 4, protected": ("burst", 4, usual, 2),
        "gap 4, more rows": ("burst", 4, more, NOT_PROTECTED),
        "gap 4, both": ("burst", 4, more, 2),
        "gap 4, another protected": ("burst", 4, usual, 2),
        "never shown": ("burst", 4, usual, NOT_PROTECTED),
    }
    assert [name for name, r in found.items() if r.exposure.left_out] == ["never shown"]
    assert [name for name, r in found.items() if r.rule.along is not None] == [
        "gap 4, another protected"
    ]


def test_a_task_that_is_held_still_is_so_through_the_same_steps():
    found = built([even(), *bursts(4, STILL, along=0), never(4)])
    said = {name: (r.rule.after, r.rule.removed, r.rule.along) for name, r in found.items()}
    assert said == {
        "even": (NOT_PROTECTED, "harm", None),
        "gap 4": (NOT_PROTECTED, "harm", None),
        "gap 4, held still": (2, "component", None),
        "gap 4, another held still": (2, "component", 0),
        "never shown": (NOT_PROTECTED, "harm", None),
    }


@pytest.mark.parametrize(("gap", "after"), [(4, 2), (30, 15), (100, 20)])
def test_protection_begins_within_the_gap(gap, after):
    (_, kept) = bursts(gap, PROTECTED)
    assert kept.after == after


def test_only_what_differs_is_set():
    plain = axis([even(), *bursts(4), never(4)], "setting.tasks.prior", PRIORS[0], PRIORS[1])
    assert plain.fields == ("exposure.placement", "exposure.gap", "exposure.left_out")
