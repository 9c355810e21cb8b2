"""A slice as it stands."""

import json

import made_slices
import pytest

from launch.tpu import group, queued, remote
from launch.tpu.part import State
from launch.tpu.runner import Answer, CommandFailed, Dry, Recorder
from launch.tpu.slice import Slice, api, everywhere, look, usable
from rare_retention.errors import UserError

SPEC = made_slices.spec()
READY = Slice(State.READY, "ACTIVE")
LINES = "".join(f"rare-retention running host-{index} \n" for index in range(4))


def cloud(state):
    """Says that the slice is in a state of Google's."""
    resource, slices = queued.ready(SPEC)
    resource["state"]["state"] = state
    answers = {"describe": resource, "list": slices}

    def script(words):
        found = [answer for verb, answer in answers.items() if verb in words]
        return Answer(output=json.dumps(found[0]))

    return Recorder(script)


def test_each_way_has_its_module():
    assert api(SPEC) is queued
    assert api(made_slices.spec("v6e:4x4", api="group")) is group
    with pytest.raises(UserError, match="kubectl and xpk create"):
        api(made_slices.spec(api="gke"))


@pytest.mark.parametrize(
    ("says", "state"), [("ACTIVE", State.READY), ("SUSPENDED", State.GONE), ("X", State.WAITING)]
)
def test_its_state_is_what_google_says(says, state):
    found = look(SPEC, cloud(says))
    assert found == Slice(state, says, [{"state": "READY"}])


def test_none_is_absent():
    missing = Recorder(lambda _: Answer(1, "", "NOT_FOUND"))
    assert look(SPEC, missing) == Slice(State.ABSENT)
    with pytest.raises(CommandFailed, match="slice rare is absent; `create`"):
        usable(SPEC, missing)


def test_one_that_is_not_ready_cannot_be_used():
    with pytest.raises(CommandFailed, match=r"taken away \(SUSPENDED\)"):
        usable(SPEC, cloud("SUSPENDED"))


@pytest.mark.parametrize("spec", [SPEC, made_slices.spec("v6e:4x4", api="group")])
def test_a_dry_run_takes_a_ready_slice_for_granted(spec, capsys):
    found = usable(spec, Dry())
    assert len(everywhere(spec, Dry(), found, remote.status(), ["running"])) == spec.workers
    printed = capsys.readouterr().out
    assert printed.count("gcloud compute") == (3 if spec is SPEC else 6)


def test_all_hosts_must_answer():
    def answering(*answer):
        return Recorder(lambda _: Answer(*answer))

    assert len(everywhere(SPEC, answering(0, LINES), READY, "x", ["running"])) == 4
    three = LINES[: LINES.rindex("rare-retention")]
    with pytest.raises(CommandFailed, match="3 of 4 hosts have answered: no reason given"):
        everywhere(SPEC, answering(0, three), READY, "x", ["running"])
    with pytest.raises(CommandFailed, match="0 of 4 hosts have answered: refused"):
        everywhere(SPEC, answering(255, "", "refused"), READY, "x", ["running"])


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("busy", "host-9: runs another command"),
        ("bare", "host-9: the project is not installed there; `setup`"),
        ("unwritable x", "host-9: cannot write"),
    ],
)
def test_a_host_that_cannot_is_named(word, says):
    line = f"rare-retention {word.split()[0]} host-9 cannot write\n"
    with pytest.raises(UserError, match=says):
        everywhere(SPEC, Recorder(lambda _: Answer(1, LINES + line)), READY, "x", ["running"])
