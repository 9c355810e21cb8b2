"""Runs of Weights & Biases, offline: what is in the file that `wandb sync` would send."""

import json
import time

import pytest
from etils import epath

pytest.importorskip("wandb")
import wandb
from wandb.proto import wandb_internal_pb2

from rare_retention.errors import UserError
from rare_retention.watch.tracker import Place
from rare_retention.watch.weights_and_biases import WeightsAndBiases, _project


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")


def contents(path):
    """Contents of a log in LevelDB's format, behind a head of 7 bytes.

    Blocks of 32 KiB hold pieces, each with its checksum, its length, and whether it is a whole, a
    first, a middle or a last one.
    """
    content, at, whole = path.read_bytes(), 7, b""
    while at < len(content):
        if (left := 2**15 - at % 2**15) < 7:
            at += left
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield whole
            whole = b""


def records(folder, starts):
    """Records of every offline run of a folder, in the order of their starts.

    A process of wandb's own writes them, and may be a moment behind.
    """
    for _ in range(300):
        paths = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
        found = [[parsed(content) for content in contents(path)] for path in paths]
        if len(found) == starts and all(own and own[-1].HasField("exit") for own in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{len(found)} of {starts} runs have ended")


def parsed(content):
    record = wandb_internal_pb2.Record()
    record.ParseFromString(content)
    return record


def rows(own):
    """What was logged: name -> value."""
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
        for items in (r.history.item for r in own if r.WhichOneof("record_type") == "history")
    ]


def place(folder):
    return Place(epath.Path(folder), "stream=0,gap=64", "bursts / two", {"batch": 8})


def test_numbers_by_state_in_one_run_over_several_starts(tmp_path):
    for begin, steps in ((-1, (0, 10, 20)), (10, (20, 30))):
        own = WeightsAndBiases(place(tmp_path))
        own.begin(begin)
        for step in steps:
            own.log(step, 1e9 + step, {"accuracy/addition/4M": step / 100})
        own.flush()
        own.close()
    first, second = records(tmp_path, 2)
    assert [row["step"] for row in rows(first)] == [0, 10, 20]
    assert [row["accuracy/addition/4M"] for row in rows(second)] == [0.2, 0.3]
    runs = [next(r.run for r in part if r.HasField("run")) for part in (first, second)]
    assert runs[0].run_id == runs[1].run_id
    assert runs[0].run_group == "bursts / two" and runs[0].display_name == "stream=0,gap=64"
    assert runs[0].project == "bursts-two"
    assert {item.key for item in runs[0].config.update} >= {"batch"}


def test_the_project_may_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    own = WeightsAndBiases(place(tmp_path))
    own.begin(-1)
    own.close()
    (own,) = records(tmp_path, 1)
    assert "mine" in {r.run.project for r in own if r.HasField("run")}


@pytest.mark.parametrize(("study", "expected"), [("a/b: c?", "a-b-c"), ("", "rare_retention")])
def test_a_project_has_no_forbidden_characters(study, expected):
    assert _project(study) == expected


def test_what_wandb_refuses_is_one_line(tmp_path, monkeypatch):
    def refuse(**_):
        raise RuntimeError("no api key\nconfigured")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(UserError, match="--track=wandb: no api key configured; `wandb login`"):
        WeightsAndBiases(place(tmp_path)).begin(-1)
