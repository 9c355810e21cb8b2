"""Programs lowered for devices, against those that a run compiles."""

import jax
import numpy as np
import pytest
import tiny
import tiny_text

from rare_retention.parallel import make_mesh
from rare_retention.planning.programs import abstract_batches, abstract_numbers, lowered, one_row
from rare_retention.text.declared import declared
from rare_retention.train.loop import arguments

RUN = tiny_text.run(mesh__data=-1)


@pytest.mark.parametrize("run", [RUN, tiny.study().run], ids=["language", "regression"])
def test_arguments_have_the_shapes_types_and_places_of_real_ones(run):
    mesh = make_mesh(run.mesh, jax.devices()[:4])
    real, told = arguments(run, mesh), abstract_numbers(run, mesh)
    for one, other in zip(jax.tree.leaves(real), jax.tree.leaves(told), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert one.sharding == other.sharding
    assert jax.tree.structure(real) == jax.tree.structure(told)


def test_batches_have_the_shape_of_a_call():
    mesh = make_mesh(RUN.mesh, jax.devices()[:4])
    found = abstract_batches(RUN, mesh, 3)
    assert found["tokens"].shape == (3, 8, 16) and found["tokens"].dtype == np.uint16
    assert one_row(RUN)["task"].shape == (1, 1, 2)


def test_a_corpus_that_is_declared_gives_the_program_of_the_one_that_is_there():
    texts = []
    for when in ("never", "always"):
        with declared(when):
            run = tiny_text.run(mesh__data=-1, steps=9)
            texts.append(lowered(run, jax.devices()[:2], "run", 2).as_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("program", ["advance", "measure"])
def test_all_programs_are_lowered(program):
    text = lowered(tiny.study().run, jax.devices()[:2], program, 2).as_text()
    assert f"module @jit_{program}" in text
