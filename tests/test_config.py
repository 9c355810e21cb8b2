"""Configurations: validation, JSON, overrides, and the error messages word for word."""

import dataclasses
import hashlib
import json
import pickle
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from rare_retention.config import (
    ConfigError,
    config,
    difference,
    fields,
    fingerprint,
    from_dict,
    from_json,
    override,
    to_dict,
    to_json,
)
from rare_retention.errors import UserError


class GapError(ValueError):
    """An error of another module, which names its field too."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


@config
class Even:
    kind: Literal["even"] = "even"
    gap: int = 4

    def __post_init__(self) -> None:
        if self.gap > 100:
            raise GapError("gap", f"{self.gap} is longer than the run")


@config
class Burst:
    kind: Literal["burst"] = "burst"
    gap: int
    even: int = 3  # named like the other kind, which must not confuse the paths of errors
    rest: "Even" = Even(gap=7)


Placement = Annotated[Even | Burst, Field(discriminator="kind")]


@config
class Task:
    rate: float = 1
    note: str | None = None

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("a rate is never negative")


@config
class Run:
    steps: int = 10
    batch: int = Field(default=8, ge=1)
    name: str = "x"
    widths: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "a")
    mode: Literal["iid", "even", "burst"] = "iid"
    placement: Even | Burst = Field(default=Even(), discriminator="kind")
    probe: Placement | None = None
    extra: Task | None = None
    tasks: tuple[Task, ...] = (Task(), Task(rate=2))
    placements: tuple[Placement, ...] = ()
    auto: int | Literal["auto"] = "auto"
    watch: tuple[str, ...] | None = None
    on: bool = False
    limit: Annotated[float, Field(allow_inf_nan=True)] = 0

    def __post_init__(self) -> None:
        if self.steps % self.batch and self.steps > 1000:
            raise ConfigError("steps", f"{self.steps} is not a multiple of batch = {self.batch}")
        for i, width in enumerate(self.widths):
            if width > 256:
                raise ConfigError(f"widths[{i}]", f"{width} is larger than inputs = 256")


@config
class Study:
    run: Run = Run()
    seed: int = 0


# Construction


def test_a_config_is_frozen_compared_by_value_and_hashable() -> None:
    assert Run(steps=3) == Run(steps=3) != Run(steps=4)
    assert hash(Run(steps=3)) == hash(Run(steps=3))
    assert dataclasses.replace(Run(), steps=5).steps == 5
    frozen: Any = Run()
    with pytest.raises(dataclasses.FrozenInstanceError):
        frozen.steps = 3


def test_numbers_are_normalised_in_defaults_and_arguments() -> None:
    assert type(Task().rate) is float
    assert type(Task(rate=2).rate) is float
    assert Run(limit=float("inf")).limit == float("inf")


@pytest.mark.parametrize(
    ("cls", "values", "line"),
    [
        (Run, {"steps": "64"}, "steps: expected an integer, got '64' (did you mean 64?)"),
        (Run, {"steps": 64.0}, "steps: expected an integer, got 64.0 (did you mean 64?)"),
        (Run, {"steps": 6.5}, "steps: expected an integer, got 6.5"),
        (Run, {"steps": True}, "steps: expected an integer, got True"),
        (Run, {"steps": None}, "steps: expected an integer, got None"),
        (Run, {"name": 3}, "name: expected a string, got 3 (did you mean '3'?)"),
        (Run, {"on": 1}, "on: expected a boolean, got 1 (did you mean True?)"),
        (Task, {"rate": "x"}, "rate: expected a number, got 'x'"),
        (Task, {"rate": float("nan")}, "rate: expected a finite number, got nan"),
        (Task, {"rate": float("inf")}, "rate: expected a finite number, got inf"),
        (
            Run,
            {"widths": [1, 2]},
            "widths: expected a tuple (integer, ...), got [1, 2] (did you mean (1, 2)?)",
        ),
        (Run, {"widths": (1, "a")}, "widths[1]: expected an integer, got 'a'"),
        (Run, {"pair": (1,)}, "pair: expected a tuple (integer, string), got (1,)"),
        (Run, {"pair": (1, "a", 2)}, "pair: expected a tuple (integer, string), got (1, 'a', 2)"),
        (Run, {"batch": 0}, "batch: expected at least 1, got 0"),
        (
            Run,
            {"mode": "evn"},
            "mode: expected 'iid' or 'even' or 'burst', got 'evn' (did you mean 'even'?)",
        ),
        (Run, {"widths": np.ones((2, 2))},
         "widths: expected a tuple (integer, ...), got array([[1., 1.], [1., 1.]])"),
        (Run, {"steps": np.int64(3)}, "steps: expected an integer, got np.int64(3)"),
        (Run, {"auto": 1.5}, "auto: expected an integer or 'auto', got 1.5"),
        (Run, {"watch": 3}, "watch: expected a tuple (string, ...) or None, got 3"),
        (Run, {"placement": 3}, "placement: expected Even or Burst, got 3"),
        (
            Run,
            {"placement": Task()},
            "placement: expected Even or Burst, got Task(rate=1.0, note=None)",
        ),
        (Run, {"extra": 3}, "extra: expected Task or None, got 3"),
        (Run, {"tasks": (Task(), 3)}, "tasks[1]: expected Task, got 3"),
        (Run, {"stps": 3}, "stps: no such field; did you mean steps?"),
        (Study, {"zzz": 3}, "zzz: no such field; the fields here are run, seed"),
        (Burst, {}, "gap: required: an integer"),
        (Run, {"name": 3, "on": "x"}, "name: expected a string, got 3 (did you mean '3'?)"
         "; also wrong: on"),
        (Run, {"name": ["x" * 99]}, f"name: expected a string, got ['{'x' * 55}..."),
        (Even, {"gap": 500}, "gap: 500 is longer than the run"),
        (Task, {"rate": -1}, "a rate is never negative"),
        (Run, {"steps": 1001}, "steps: 1001 is not a multiple of batch = 8"),
        (Run, {"widths": (1, 512)}, "widths[1]: 512 is larger than inputs = 256"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line(cls: Any, values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cls(**values)
    assert str(caught.value) == line


def test_an_error_knows_its_field_and_the_error_of_a_post_init() -> None:
    with pytest.raises(ConfigError) as caught:
        Even(gap=500)
    assert caught.value.field == "gap"
    assert caught.value.message == "500 is longer than the run"
    assert isinstance(caught.value.__cause__, GapError)
    assert isinstance(caught.value, UserError)
    again = pickle.loads(pickle.dumps(ConfigError("a.b", "wrong", "x.py:3")))
    assert (again.field, str(again)) == ("a.b", "x.py:3: a.b: wrong")


def test_fields_are_given_by_name() -> None:
    cls: Any = Even
    with pytest.raises(TypeError, match="Even takes its fields by name, as in field=value"):
        cls(3)


def test_a_union_without_kinds_is_refused() -> None:
    class Either:
        part: Even | Task

    with pytest.raises(TypeError) as caught:
        config(Either)
    assert str(caught.value) == "Either.part: each class of a union needs a field kind"


# JSON


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("{", "not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 "
         "(char 1)"),
        ("[1]", "expected Study, got [1]"),
        ('{"sed": 3}', "sed: no such field; did you mean seed?"),
        ('{"run": {"probe": 3}}', "run.probe: expected Even or Burst or None, got 3"),
        ('{"run": {"placement": {"kind": "x"}}}',
         "run.placement.kind: expected 'even' or 'burst', got 'x'"),
        ('{"run": {"placement": {"gap": 3}}}', "run.placement.kind: required: 'even' or 'burst'"),
        ('{"run": {"placement": {"kind": "burst"}}}', "run.placement.gap: required: an integer"),
        ('{"run": {"placement": {"kind": "even", "even": 3}}}',
         "run.placement.even: no such field; the fields here are kind, gap"),
        ('{"run": {"placement": {"kind": "burst", "gap": 1, "even": "x"}}}',
         "run.placement.even: expected an integer, got 'x'"),
        ('{"run": {"placements": [{"kind": "burst", "gap": 1, "rest": {"gap": true}}]}}',
         "run.placements[0].rest.gap: expected an integer, got True"),
        ('{"run": {"tasks": [{"rate": 1}, {"rat": 2}]}}',
         "run.tasks[1].rat: no such field; did you mean run.tasks[1].rate?"),
        ('{"run": {"tasks": [{"rate": 1}, {"rate": -1}]}}',
         "run.tasks[1]: a rate is never negative"),
        ('{"run": {"pair": [1]}}', "run.pair: expected a tuple (integer, string), got [1]"),
        ('{"run": {"auto": [3]}}', "run.auto: expected an integer or 'auto', got [3]"),
        ('{"run": {"widths": [3, 512]}}', "run.widths[1]: 512 is larger than inputs = 256"),
        ('{"run": {"placement": {"kind": "even", "gap": 500}}}',
         "run.placement.gap: 500 is longer than the run"),
        ('{"run": {"placements": [{"kind": "burst", "gap": 1, "rest": {"gap": 500}}]}}',
         "run.placements[0].rest.gap: 500 is longer than the run"),
    ],
)  # fmt: skip
def test_wrong_json_is_one_line_with_the_whole_path(data: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_json(Study, data)
    assert str(caught.value) == line


number = st.floats(allow_nan=False, allow_infinity=False)
evens = st.builds(Even, gap=st.integers(max_value=100))
bursts = st.builds(Burst, gap=st.integers(), even=st.integers(), rest=evens)
tasks = st.builds(Task, rate=number.filter(lambda x: x >= 0), note=st.none() | st.text())
runs = st.builds(
    Run,
    steps=st.integers(max_value=1000),
    batch=st.integers(min_value=1),
    name=st.text(),
    widths=st.lists(st.integers(max_value=256)).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    mode=st.sampled_from(["iid", "even", "burst"]),
    placement=evens | bursts,
    probe=st.none() | evens | bursts,
    extra=st.none() | tasks,
    tasks=st.lists(tasks, max_size=3).map(tuple),
    placements=st.lists(evens | bursts, max_size=3).map(tuple),
    auto=st.integers() | st.just("auto"),
    watch=st.none() | st.lists(st.text()).map(tuple),
    on=st.booleans(),
    limit=st.floats(),
)
studies = st.builds(Study, run=runs, seed=st.integers())


@settings(max_examples=150)
@given(studies)
def test_json_is_exact(study: Study) -> None:
    again = from_json(Study, to_json(study))
    assert repr(again) == repr(study)  # NaN differs from itself, 0.0 equals -0.0
    assert fingerprint(again) == fingerprint(study) == fingerprint(json.loads(to_json(study)))
    assert difference(to_dict(again), to_dict(study)) == []


@settings(max_examples=100)
@given(studies)
def test_leaves_written_as_text_are_read_back(study: Study) -> None:
    wanted = fields(study)
    # None and tuples of configurations aside, whose leaves need not be in both trees.
    texts = {
        path: str(value)
        for path, value in wanted.items()
        if path.startswith(("run.placement.", "seed")) or path.rpartition(".")[2] in LEAVES
    }
    after = fields(override(Study(), texts))
    assert {path: repr(after[path]) for path in texts} == {p: repr(wanted[p]) for p in texts}


LEAVES = {"steps", "batch", "name", "widths", "mode", "auto", "watch", "on", "limit"}


def test_dicts_are_plain_and_defaults_fill_what_is_left_out() -> None:
    data = to_dict(Study(run=Run(probe=Burst(gap=2), widths=(3,))))
    assert data["run"]["widths"] == [3]
    assert data["run"]["probe"]["rest"] == {"kind": "even", "gap": 7}
    assert from_dict(Study, {"run": {"steps": 7}}) == Study(run=Run(steps=7))


def test_a_fingerprint_depends_on_values_alone() -> None:
    data = to_dict(Study())
    assert fingerprint(dict(reversed(data.items()))) == fingerprint(Study()) == fingerprint(data)
    assert fingerprint(Study(seed=1)) != fingerprint(Study())
    canonical = '{"a":"\\u00e9","b":[1,0.1]}'
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert fingerprint({"b": (1, 0.1), "a": "é"}) == digest[:16]


def test_a_difference_has_a_line_for_each_place() -> None:
    before = {"batch": 64, "run": {"prior": [0.5, 0.5], "kind": "even"}, "w": (1, 2), "old": None}
    after = {"batch": 128, "run": {"prior": [0.5, 0.25], "kind": "even"}, "w": [1], "new": 1.0}
    assert difference(before, before) == []
    assert difference(before, after) == [
        "batch: 64 -> 128",
        "run.prior[1]: 0.5 -> 0.25",
        "w: (1, 2) -> [1]",
        "old: None -> absent",
        "new: absent -> 1.0",
    ]
    assert difference({"a": (1, 2)}, {"a": [1, 2]}) == []
    assert difference({"a": 1}, {"a": 1.0}) == ["a: 1 -> 1.0"]


def test_fields_are_the_leaves_by_path() -> None:
    run = Run(tasks=(Task(note="n"),), probe=Burst(gap=2))
    leaves = fields(Study(run=run))
    assert leaves["run.widths"] == (1, 2)
    assert leaves["run.tasks[0].note"] == "n"
    assert leaves["run.probe.rest.gap"] == 7
    assert leaves["run.extra"] is None
    assert "run" not in leaves
    assert "run.probe" not in leaves


# Overrides


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("run.steps", "64", 64),
        ("run.steps", " -1_000 ", -1000),
        ("run.limit", "1e-3", 0.001),
        ("run.limit", "3", 3.0),
        ("run.limit", "-inf", float("-inf")),
        ("run.on", "true", True),
        ("run.on", "True", True),
        ("run.name", "64", "64"),
        ("run.name", "none", "none"),
        ("run.name", "'quoted'", "'quoted'"),
        ("run.widths", "(3,4)", (3, 4)),
        ("run.widths", "[3, 4]", (3, 4)),
        ("run.widths", "3,4", (3, 4)),
        ("run.widths", "3", (3,)),
        ("run.widths", "3,", (3,)),
        ("run.widths", "()", ()),
        ("run.widths", "", ()),
        ("run.widths[1]", "7", 7),
        ("run.watch", "a, b", ("a", "b")),
        ("run.watch", "[a, b]", ("a", "b")),
        ("run.watch", "1,2", ("1", "2")),
        ("run.watch", "('a',)", ("a",)),
        ("run.pair", "3,b", (3, "b")),
        ("run.mode", "burst", "burst"),
        ("run.auto", "3", 3),
        ("run.tasks[1].rate", "5", 5.0),
        ("run.tasks[1].note", "5", "5"),
    ],
)
def test_text_is_read_by_the_type_of_its_field(path: str, text: str, value: Any) -> None:
    after = fields(override(Study(), {path: text}))
    path, index = (path[:-3], 1) if path == "run.widths[1]" else (path, None)
    assert repr(after[path] if index is None else after[path][index]) == repr(value)
    assert {p for p, v in after.items() if v != fields(Study())[p]} == {path}


@pytest.mark.parametrize("text", ["none", "None", "null"])
def test_none_empties_an_optional_field(text: str) -> None:
    study = Study(run=Run(probe=Even(), extra=Task(note="n"), watch=("a",)))
    paths = ("run.probe", "run.watch", "run.extra.note")
    after = override(study, dict.fromkeys(paths, text))
    assert [fields(after)[path] for path in paths] == [None, None, None]
    assert override(study, {"run.extra": text}).run.extra is None


def test_an_empty_group_is_built_from_its_defaults() -> None:
    after = override(
        Study(), {"run.extra.note": "n", "run.probe.gap": "2", "run.probe.kind": "even"}
    )
    assert (after.run.extra, after.run.probe) == (Task(note="n"), Even(gap=2))


def test_a_new_kind_resets_its_group_before_other_changes() -> None:
    assert override(
        Study(),
        {"run.placement.gap": "9", "run.placement.kind": "burst", "run.placement.rest.gap": "2"},
    ).run.placement == Burst(gap=9, rest=Even(gap=2))
    study = Study(run=Run(placement=Burst(gap=3, even=5)))
    assert override(study, {"run.placement.kind": "burst"}) == study
    assert override(study, {"run.placement.kind": "even"}).run.placement == Even(gap=4)


def test_a_dict_replaces_a_group() -> None:
    after = override(Study(), {"run.probe": "{'kind': 'burst', 'gap': 2}"})
    assert after.run.probe == Burst(gap=2)


def test_changes_are_valid_together_and_the_tree_is_left_alone() -> None:
    study = Study()
    assert override(study, {"run.steps": "2000", "run.batch": "1000"}).run.batch == 1000
    with pytest.raises(ConfigError) as caught:
        override(study, {"run.steps": "2000", "run.batch": "999"})
    assert str(caught.value) == "run.steps: 2000 is not a multiple of batch = 999"
    assert study == Study() == override(study, {})


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("run.steps", "64x", "expected an integer, got '64x'"),
        ("run.steps", "1e5", "expected an integer, got 100000.0 (did you mean 100000?)"),
        ("run.steps", "none", "expected an integer, got None"),
        ("run.steps", "true", "expected an integer, got True"),
        ("run.on", "1", "expected a boolean, got 1 (did you mean True?)"),
        ("run.tasks[0].rate", "nan", "expected a finite number, got nan"),
        ("run.batch", "0", "expected at least 1, got 0"),
        ("run.mode", "evn",
         "expected 'iid' or 'even' or 'burst', got 'evn' (did you mean 'even'?)"),
        ("run.auto", "autp", "expected an integer or 'auto', got 'autp' (did you mean 'auto'?)"),
        ("run.widths", "abc", "expected a tuple (integer, ...), got 'abc'"),
        ("run.pair", "(1,)", "expected a tuple (integer, string), got (1,)"),
        ("run.tasks", "3", "expected a tuple (Task, ...), got 3"),
        ("run", "3", "a group of fields: set one of them, as in run.steps=VALUE"),
        ("run.extra", "3", "a group of fields: set one of them, as in run.extra.rate=VALUE"),
        ("run.placement", "burst",
         "a group of fields: set one of them, as in run.placement.kind=VALUE"),
        ("run.placement.gap", "500", "500 is longer than the run"),
        ("run.placement.kind", "brst",
         "expected 'even' or 'burst', got 'brst' (did you mean 'burst'?)"),
        ("run.wdths", "3", "no such field; did you mean run.widths?"),
        ("rn.steps", "3", "no such field; did you mean run.steps?"),
        ("rn.stps", "3", "no such field; did you mean run?"),
        ("steps", "3", "no such field; did you mean run.steps?"),
        ("batc", "3", "no such field; did you mean run.batch?"),
        ("run.sed", "3", "no such field; did you mean seed?"),
        ("zzz", "3", "no such field; the fields here are run, seed"),
        ("run..steps", "3", "no such field; did you mean run.steps?"),
        ("run.steps.zzz", "3", "no such field; run.steps is not a group of fields"),
        ("run.placement.even", "3", "no such field; the fields here are kind, gap"),
        ("run.widths[2]", "3", "no such field; run.widths has 2 elements"),
        ("run.tasks[0].rat", "3", "no such field; did you mean run.tasks[0].rate?"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_one_line(path: str, text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(Study(), {path: text})
    assert str(caught.value) == f"{path}: {line}"
    assert caught.value.field == path


def test_an_error_elsewhere_than_in_the_changed_field_names_its_own() -> None:
    for changes, line in [
        ({"run.widths": "1,x"}, "run.widths[1]: expected an integer, got 'x'"),
        ({"run.widths": "(1,'x')"}, "run.widths[1]: expected an integer, got 'x'"),
        ({"run.widths": "1,512"}, "run.widths[1]: 512 is larger than inputs = 256"),
        ({"run.tasks[1].rate": "-1"}, "run.tasks[1]: a rate is never negative"),
        ({"run.placement.kind": "burst"}, "run.placement.gap: required: an integer"),
        ({"run.probe.gap": "3"}, "run.probe.kind: required: 'even' or 'burst'"),
        (
            {"run.steps": "x", "seed": "y"},
            "run.steps: expected an integer, got 'x'; also wrong: seed",
        ),
        ({"": "3"}, "no such field; the fields here are run, seed"),
    ]:
        with pytest.raises(ConfigError) as caught:
            override(Study(), changes)
        assert str(caught.value) == line
