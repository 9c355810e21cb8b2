"""Things that the launcher creates, and those that it has not."""

import json

import pytest

from launch.tpu.part import Part, flags
from launch.tpu.runner import Answer, CommandFailed, Dry, Recorder
from rare_retention.errors import UserError

PART = Part(
    "thing x", ("create", "x"), ("describe", "x"), ("delete", "x"), lambda is_: is_["mark"], "ours"
)


def answering(*answer):
    return Recorder(lambda _: Answer(*answer))


def test_what_is_marked_is_found():
    assert PART.find(answering(0, json.dumps({"mark": "ours"}))) == {"mark": "ours"}


def test_what_does_not_exist_is_none():
    assert PART.find(answering(1, "", "ERROR: NOT_FOUND: x")) is None
    assert PART.find(answering(1, "", "The resource 'x' was not found")) is None


@pytest.mark.parametrize("mark", ["theirs", None])
def test_what_others_have_created_is_refused(mark):
    with pytest.raises(UserError, match="thing x was not created by this launcher"):
        PART.find(answering(0, json.dumps({"mark": mark})))


def test_what_nobody_may_see_is_no_absence():
    with pytest.raises(CommandFailed, match="PERMISSION_DENIED"):
        PART.find(answering(1, "", "ERROR: PERMISSION_DENIED"))


def test_a_dry_run_takes_for_granted_what_it_is_told():
    assert PART.find(Dry()) is None
    assert PART.find(Dry(), {"mark": "ours"}) == {"mark": "ours"}


def test_flags_without_a_value_are_left_out():
    assert flags(a_b="x", c="", d=None, e=False, f=True, g=0) == ("--a-b=x", "--f", "--g=0")
