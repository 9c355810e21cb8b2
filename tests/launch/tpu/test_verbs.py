"""Verbs, with a gcloud of the tests' own that runs hosts' scripts on this machine."""

import dataclasses
import time

import fake_gcloud
import made_slices
import pytest

from launch.tpu import verbs
from launch.tpu.runner import Answer, CommandFailed, Real, Recorder
from rare_retention.errors import UserError


def used(folder, *words):
    """Calls of gcloud that hold all words."""
    return [call for call in fake_gcloud.calls(folder) if set(words) <= set(call)]


def test_from_nothing_to_a_report_and_back_to_nothing(cloud, spec, tmp_path, capfd):
    folder, said = cloud(), []
    verbs.create(spec, Real(), said.append, 0)
    verbs.setup(spec, Real(), said.append)
    verbs.run(spec, Real(), said.append)
    assert "installed" in said[-2] and said[-1] == "started on 2 hosts, ran already on 0"
    bucket = folder / "bucket"
    for name in verbs.REPORT[1:-1]:
        (bucket / name).write_text("x")
    (bucket / "figures").mkdir()
    for _ in range(200):
        if (bucket / "report.html").exists():
            break
        time.sleep(0.05)
    assert verbs.logs(spec, Real(), worker=1, follow=False) == 0
    assert "trains with -m launch.study" in capfd.readouterr().out
    verbs.fetch(spec, Real(), said.append, tmp_path / "here" / "report")
    assert (tmp_path / "here" / "report" / "report.html").read_text() == "page\n"
    verbs.delete(spec, Real(), said.append)
    assert said[-1] == "queued resource rare: deleted"
    assert (bucket / "report.html").exists() and not (bucket / "probe").exists()


def test_what_is_there_already_is_not_created_again(cloud, spec):
    folder, said = cloud(), []
    for _ in range(2):
        verbs.create(spec, Real(), said.append, 0)
    assert len(used(folder, "queued-resources", "create")) == 1
    assert "queued resource rare: is there already" in said


@pytest.mark.parametrize("mark", [None, "another"])
@pytest.mark.parametrize("verb", ["create", "delete", "setup"])
def test_what_others_have_created_is_left_alone(cloud, spec, verb, mark):
    folder = cloud(present=True, mark=mark)
    more = [0] if verb == "create" else []
    with pytest.raises(UserError, match="was not created by this launcher"):
        getattr(verbs, verb)(spec, Real(), print, *more)
    assert not used(folder, "queued-resources", "delete")
    assert not used(folder, "queued-resources", "create")


def test_nothing_is_created_after_a_check_that_failed(cloud, spec):
    folder = cloud()
    (folder / "bucket").rmdir()
    with pytest.raises(UserError, match="gcloud storage cp"):
        verbs.create(spec, Real(), print, 0)
    assert not used(folder, "queued-resources", "create")


def test_deleting_nothing_says_so(cloud, spec):
    cloud()
    said = []
    verbs.delete(spec, Real(), said.append)
    assert said == ["queued resource rare: is not there"]


def test_a_report_that_is_not_there_yet_is_told(cloud, spec, tmp_path):
    cloud()
    with pytest.raises(CommandFailed, match=r"report\.html matched no objects"):
        verbs.fetch(spec, Real(), print, tmp_path)


def test_parts_of_a_group_go_in_the_other_order(spec):
    group = made_slices.spec("v6e:4x4", api="group")

    def script(words):
        marks = '{"description": "rare-retention=rare", "properties": {"labels": {"rare-retention"'
        return Answer(output=marks + ': "rare"}}}') if "describe" in words else Answer()

    recorder, said = Recorder(script), []
    verbs.delete(group, recorder, said.append)
    assert [line.split()[1] for line in said] == ["group", "template", "policy"]
    assert [words[1:3] for words in recorder.commands if "delete" in words] == [
        ("compute", "instance-groups"),
        ("compute", "instance-templates"),
        ("compute", "resource-policies"),
    ]


def test_a_part_of_others_keeps_all_parts():
    group = made_slices.spec("v6e:4x4", api="group")
    mine = '{"description": "rare-retention=rare", "properties": {}}'  # the template lacks it
    recorder = Recorder(lambda words: Answer(output=mine))
    with pytest.raises(UserError, match="instance template rare was not created"):
        verbs.delete(group, recorder, print)
    assert not [words for words in recorder.commands if "delete" in words]


def test_verbs_name_the_flags_that_they_need(spec):
    bare = dataclasses.replace(spec, command=(), workdir="")
    for verb, flag in ((verbs.setup, "workdir"), (verbs.run, "workdir")):
        with pytest.raises(UserError, match=f"--{flag} is required"):
            verb(bare, Recorder(), print)
