"""The project's own step as the TPU compiler lays it out: no TPU is needed, libtpu is.

pip install -c constraints.txt libtpu
JAX_PLATFORMS=cpu pytest -m tpu_compiler
"""

import os

import jax
import numpy as np
import pytest
import tiny_text
from compiled import collectives
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec

from rare_retention.mesh import MeshShape
from rare_retention.models import vocabulary
from rare_retention.parallel import make_mesh, sharding
from rare_retention.train.loop import programs
from rare_retention.train.plan import blueprint, own_numbers

pytestmark = pytest.mark.tpu_compiler

# Of a machine that is none: nobody is asked what it is, and two processes may load the library.
NOWHERE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
WINDOW, WORDS, PIECES = 128, 256, 4  # rows of an embedding: 200 words, filled up


@pytest.fixture(scope="module")
def devices():
    pytest.importorskip("libtpu")
    os.environ |= NOWHERE
    found = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
    return list(found)


def text_of(devices, shape, monkeypatch, **changes):
    """The module of `run` for a tiny model and a chunk of one batch, as compiled for TPUs."""
    sizes = shape.sizes(len(devices))
    rows = tiny_text.BATCH // (sizes["data"] * sizes["fsdp"])  # of a device
    monkeypatch.setattr(vocabulary, "_LARGEST_ELSEWHERE", rows * WINDOW * WORDS // PIECES)
    setting = tiny_text.language(window=WINDOW, per_sequence=8, sizes=("2x128x384x4",))
    fields = {"setting__compute__dtype": "bfloat16", "setting__compute__remat": "attention"}
    run = tiny_text.run(setting, **(fields | changes))
    mesh = make_mesh(shape, devices)
    everywhere, cut = NamedSharding(mesh, PartitionSpec()), sharding(mesh, None, "batch")

    def placed(leaf, layout):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout)

    numbers = jax.tree.map(np.asarray, own_numbers(run))
    own = jax.tree.map(lambda leaf: placed(leaf, everywhere), numbers)
    key = jax.eval_shape(lambda: jax.random.wrap_key_data(numbers.key, impl="threefry2x32"))
    own = own._replace(key=placed(key, everywhere))
    batches = run.setting.batches(run.schedule(), 0, range(1), slice(None))
    chunk = jax.tree.map(lambda leaf: placed(leaf, cut), batches)
    count = jax.ShapeDtypeStruct((), np.int32, sharding=everywhere)
    with (
        jax.set_mesh(mesh),
        jax.default_matmul_precision(run.matmul_precision),
        jax.threefry_partitionable(True),
    ):
        compiled = programs(blueprint(run), mesh)
        lowered = compiled.run.lower(compiled.abstract, own, chunk, count)
        return lowered.compile().as_text()


def test_students_apart_have_nothing_to_say_to_each_other(devices, monkeypatch):
    """Two students on two devices, by a TPU's kernel: who has diverged is told once a call."""
    text = text_of(
        devices[:2], MeshShape(student=2, data=1), monkeypatch, setting__initialisations=2
    )
    assert "splash" in text
    told = [(one.shapes, one.times, one.loops) for one in collectives(text)]
    assert told in ([], [((("s32", (2,)),), 1, 0)])


@pytest.mark.parametrize("students", [1, 2])
def test_no_loop_gathers_the_vocabulary(devices, monkeypatch, students):
    """Words are gathered, and their gradients added up, once for all pieces of the positions."""
    shape = MeshShape(student=students, data=1, fsdp=4 // students)
    text = text_of(devices, shape, monkeypatch, setting__initialisations=students)
    found = collectives(text)
    assert found
    words = [one for one in found if any(WORDS in size for _, size in one.shapes)]
    assert words and max(one.times for one in words) == 1
