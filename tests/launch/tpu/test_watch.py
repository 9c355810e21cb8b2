"""Watching a slice that is taken away, with a gcloud of the tests' own."""

import itertools
import json

import fake_gcloud
import pytest

from launch.tpu.remote import Told
from launch.tpu.runner import Answer, CommandFailed, Dry, Real, Recorder
from launch.tpu.watch import Watch, decide
from rare_retention.errors import UserError


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("ended 0, ended 0", "done"),
        ("running, running", "wait"),
        ("none, none", "start"),
        ("none, running", "start"),  # one of them was not reached when it was started
        ("lost, running", "wait"),  # the others will end by themselves
        ("lost, ended 134", "start"),  # a host was restarted, and the others ended by that
        ("lost, ended 0", "start"),
        ("ended 130, ended 130", "start"),  # stopped and saved
        ("ended 130, ended 134", "start"),
        ("ended 75, ended 137", "start"),  # one was killed, and the other left by itself
        ("ended 1, ended 1", "failed"),
        ("ended 0, ended 134", "failed"),
    ],
)
def test_hosts_decide_what_is_next(said, what):
    told = [Told(*f"{one} ".split(" ")[:1], "h", one.partition(" ")[2]) for one in said.split(", ")]
    assert decide(told) == what


def watch(spec, said, restarts=3, runner=None):
    return Watch(spec, runner or Real(), said.append, 0.05, restarts)


def kinds(folder):
    """What changes the cloud, in order."""
    calls = [
        call
        for call in fake_gcloud.calls(folder)
        if "queued-resources" in call and not {"describe", "ssh"} & set(call)
    ]
    return [call[3] for call in calls]


def test_a_slice_that_is_taken_away_is_made_anew_and_the_command_runs_again(cloud, spec):
    folder, said = cloud(preempt=3), []
    assert watch(spec, said).until_done() == 0
    assert kinds(folder) == ["create", "delete", "create"]
    logs = sorted(folder.glob("hosts/*/*/rare-retention-run/log"))
    assert len(logs) == 4
    commands = {path.parent / "command": path for path in logs}
    assert len({path.read_text() for path in commands}) == 1  # the same command again
    assert "slice rare was taken away (SUSPENDED)" in said
    assert said[-1] == "the command has ended well on 2 hosts"
    assert (folder / "bucket" / "report.html").exists()


def test_a_watch_takes_up_what_runs_already(cloud, spec):
    folder, said = cloud(), []
    assert watch(spec, said).until_done() == 0
    again = []
    assert watch(spec, again).until_done() == 0
    assert kinds(folder) == ["create"]
    assert again == ["the command has ended well on 2 hosts"]


def test_restarts_are_counted(cloud, spec):
    folder, said = cloud(preempt=1), []
    with pytest.raises(UserError, match="--restarts"):
        watch(spec, said, restarts=0).until_done()
    assert kinds(folder) == ["create"]


def test_a_command_that_fails_ends_the_watch_and_shows_its_log(cloud, spec, capfd):
    folder, said = cloud(code=2), []
    assert watch(spec, said).until_done() == 1
    assert kinds(folder) == ["create"]
    assert "trains with -m launch.study" in capfd.readouterr().out
    assert "is still there and costs" in said[-1]


def test_a_slice_of_others_is_never_touched(cloud, spec):
    folder = cloud(present=True, mark="another", taken=True)
    with pytest.raises(UserError, match="was not created by this launcher"):
        watch(spec, []).until_done()
    assert kinds(folder) == []


def test_what_somebody_deletes_stays_deleted(cloud, spec):
    folder, said = cloud(), []
    looking = watch(spec, said)

    def delete(line):
        said.append(line)
        assert said.count("queued resource rare: created") < 2
        if line.startswith("started"):
            state = json.loads((folder / "state.json").read_text())
            (folder / "state.json").write_text(json.dumps(state | {"present": False}))

    looking.say = delete
    with pytest.raises(UserError, match="was deleted by somebody else"):
        looking.until_done()
    assert kinds(folder) == ["create"]


def test_a_cloud_that_does_not_answer_is_asked_some_times(spec):
    said = []
    silent = Recorder(lambda _: Answer(1, "", "ERROR: UNAVAILABLE"))
    with pytest.raises(CommandFailed, match="UNAVAILABLE"):
        watch(spec, said, runner=silent).until_done()
    assert len(said) == len(silent.commands) == 5


def test_hosts_that_are_not_reached_for_a_while_are_waited_for(cloud, spec):
    folder, said = cloud(), []
    broken = itertools.chain([True] * 3, itertools.repeat(False))

    class Flaky(Real):
        def ask(self, arguments, assumed="", text=None):
            if "ssh" in arguments and next(broken):
                return Answer(255, "", "refused")
            return super().ask(arguments, assumed, text)

    assert watch(spec, said, runner=Flaky()).until_done() == 0
    assert said.count("0 of 2 hosts have answered: refused") == 3
    assert kinds(folder) == ["create"]


def test_a_slice_that_failed_ends_the_watch_with_the_reason(spec):
    state = {"state": "FAILED", "failedData": {"error": {"message": "no such quota"}}}
    node = {"node": {"labels": {"rare-retention": "rare"}}}
    answer = json.dumps({"state": state, "tpu": {"nodeSpec": [node]}})
    runner = Recorder(lambda words: Answer(output=answer if "describe" in words else "[]"))
    with pytest.raises(UserError, match="has failed: no such quota"):
        watch(spec, [], runner=runner).until_done()


def test_a_dry_run_goes_through_it_once(spec, capsys):
    assert watch(spec, [], runner=Dry()).until_done() == 0
    printed = capsys.readouterr().out
    assert printed.count("queued-resources create") == 1
    assert printed.count("queued-resources ssh") == 3
