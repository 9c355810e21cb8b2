"""The process that compiles: its environment, and what becomes of its answers."""

import importlib.util
import json

import pytest

from rare_retention.errors import UserError
from rare_retention.planning import ahead
from rare_retention.planning.topology import parse

V5E, CPU = parse("v5e:2x2"), parse("cpu:4")
ANSWER = {
    "bytes": 3,
    "fits": True,
    "largest": [{"bytes": 2, "shapes": "f32[]"}],
    "step": [{"kind": "all-gather", "group": 4, "dtype": "f32", "times": 1, "bytes": 4}],
    "call": [],
}


def test_the_compilers_variables_are_its_own():
    own = {"HOME": "/home/x", "JAX_PLATFORMS": "tpu", "JAX_COMPILATION_CACHE_DIR": "/cache"}
    own |= {"XLA_FLAGS": "--xla_a=1 --xla_force_host_platform_device_count=8"}
    before = dict(own)
    tpu = ahead.environment(V5E, own)
    assert tpu["JAX_PLATFORMS"] == "cpu" and tpu["ALLOW_MULTIPLE_LIBTPU_LOAD"] == "1"
    assert tpu["HOME"] == "/home/x"
    assert not {"XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR"} & set(tpu)
    cpu = ahead.environment(CPU, own)
    assert cpu["XLA_FLAGS"] == "--xla_a=1 --xla_force_host_platform_device_count=4"
    assert own == before


def test_without_libtpu_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"--topology=v5e:2x2: needs libtpu.*\[plan\]"):
        ahead.check(V5E)
    ahead.check(CPU)


def test_an_answer_is_the_last_line():
    found = ahead.read(0, f"noise\n{json.dumps(ANSWER)}\n", "", V5E)
    assert (found.bytes, found.capacity, found.cycles) == (3, V5E.chip.memory, None)
    assert found.step[0].kind == "all-gather"
    told = ahead.read(0, json.dumps(ANSWER | {"cycles": {"step": 9}, "capacity": 5}), "", CPU)
    assert (told.cycles, told.capacity) == (9, 5)


def test_a_refusal_is_the_users_error():
    with pytest.raises(UserError, match=r"run\.mesh\.fsdp: no"):
        ahead.read(0, json.dumps({"refused": "run.mesh.fsdp: no"}), "", V5E)


def test_a_libtpu_in_use_is_said_in_one_line():
    errors = "ABORTED: The TPU is already in use by process with pid 7.\n"
    with pytest.raises(UserError, match="libtpu is in use by another process"):
        ahead.read(-6, "", errors, V5E)


def test_a_compiler_that_fails_is_no_mistake_of_the_users():
    errors = "Traceback\nValueError: early\njax.errors.JaxRuntimeError: INTERNAL: broken\n"
    with pytest.raises(RuntimeError, match="INTERNAL: broken") as error:
        ahead.read(1, "", errors, V5E)
    assert not isinstance(error.value, UserError)


def test_a_compiler_that_takes_too_long_is_stopped():
    with pytest.raises(UserError, match="no answer from the compiler within 0 s"):
        ahead.compile_program({"run": {}}, CPU, limit=0.01)
