"""Compilers that are asked for real: eight fake devices, and TPUs where libtpu is installed."""

import importlib.util
import os
import subprocess
import sys

import jax
import pytest
import tiny
import tiny_text

from rare_retention.config import override, to_dict
from rare_retention.errors import UserError
from rare_retention.planning import ahead, planner
from rare_retention.planning.topology import parse

RUN = tiny_text.run(mesh__data=-1)


def ask(run, name, program="run", **changes):
    topology = parse(name, changes.pop("slices", 1))
    request = {"run": to_dict(run), "extensions": [], "topology": list(topology)}
    request |= {"program": program, "length": 2, "whole": False} | changes
    return ahead.compile_program(request, topology)


def test_fake_devices_say_what_a_step_sends():
    before = dict(os.environ)
    found = ask(override(tiny.study().run, {"mesh.data": -1}), "cpu:4", "advance")
    assert dict(os.environ) == before
    assert found.fits and 0 < found.bytes < found.capacity
    assert {own.kind for own in found.step} == {"all-reduce"}
    assert {own.group for own in found.step} == {4}
    assert found.cycles is None


def test_a_run_that_cannot_be_is_refused_in_one_line():
    run = override(RUN, {"mesh.data": 3})
    with pytest.raises(UserError, match=r"^data: a mesh of 1 x 3 x 1 x 1 does not fit 2 devices"):
        ask(run, "cpu:2")


tpu_compiler = pytest.mark.tpu_compiler
needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed"
)


@tpu_compiler
@needs_libtpu
@pytest.mark.parametrize("name", ["v4:2x2x1", "v5e:2x2", "v5p:2x2x1", "v6e:2x2", "tpu7x:2x2x1"])
def test_every_kind_of_tpu_has_the_devices_and_compiles(name):
    run = tiny_text.run(mesh__data=-1, batch=64)
    found = ask(run, name, "advance")
    assert found.fits and found.bytes > 0
    assert {own.group for own in found.step} == {parse(name).devices}


@tpu_compiler
@needs_libtpu
def test_two_slices_are_one_mesh():
    found = ask(tiny_text.run(mesh__data=-1, batch=64), "v5e:2x2", slices=2)
    assert {own.group for own in found.step} == {8}


@tpu_compiler
@needs_libtpu
def test_weights_that_are_cut_are_gathered():
    run = tiny_text.run(mesh__data=1, mesh__fsdp=4)
    kinds = {own.kind for own in ask(run, "v5e:2x2").step}
    assert kinds & {"all-gather", "collective-permute"}


@tpu_compiler
@needs_libtpu
def test_what_does_not_fit_is_known_without_generating_code():
    found = ask(override(RUN, {"setting.sizes": "4x8192x65536x64"}), "v5e:2x2")
    assert not found.fits and found.bytes > found.capacity == parse("v5e:2x2").chip.memory
    assert found.largest


@tpu_compiler
@needs_libtpu
def test_a_program_compiled_to_its_end_has_a_bound_on_its_time():
    found = ask(RUN, "v5e:2x2", whole=True)
    assert found.cycles > 0
    asked = planner.Asked(whole=True)
    own = planner.book(planner.Group("x", RUN, 1), parse("v5e:2x2"), asked)
    assert 0 < own.bound <= own.charged < 1


ORPHAN = """
import os
from rare_retention.planning.compiler import _leave_with
parent = os.getpid()
if os.fork():
    os._exit(0)
_leave_with(parent)
"""


def test_a_compiler_ends_with_who_has_asked_it():
    left = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE)
    assert left.communicate(timeout=60) == (b"", None)  # the orphan has the pipe open until it ends


def test_this_process_was_given_no_tpu():
    assert jax.default_backend() == "cpu"
