"""Memory by arithmetic."""

import dataclasses

import jax
import pytest
import tiny
import tiny_text

from rare_retention.config import override
from rare_retention.parallel import make_mesh
from rare_retention.planning import estimate
from rare_retention.planning.topology import parse
from rare_retention.train.loop import programs
from rare_retention.train.plan import blueprint, sizes

FOUR = parse("h100:4")
RUN = tiny_text.run(mesh__data=-1)


def parts(run, topology=FOUR):
    return {own.shapes: own.bytes for own in estimate.memory(run, topology).largest}


def test_the_whole_is_the_sum_of_its_parts_largest_first():
    found = estimate.memory(RUN, FOUR)
    assert found.bytes == sum(own.bytes for own in found.largest)
    assert sorted(found.largest, key=lambda own: -own.bytes) == list(found.largest)
    assert len(parts(RUN)) == 4


def test_state_on_one_device_is_what_a_mesh_of_real_devices_puts_there():
    run = tiny_text.run(mesh__data=1, mesh__fsdp=2, mesh__model=2)
    mesh = make_mesh(run.mesh, jax.devices()[:4])
    state = programs(blueprint(run), mesh).abstract
    real = sum(
        leaf.dtype.itemsize * max(1, int(jax.numpy.prod(jax.numpy.array(shape))))
        for leaf in jax.tree.leaves(state)
        for shape in [leaf.sharding.shard_shape(leaf.shape)]
    )
    assert parts(run)["state"] == real
    assert parts(RUN)["state"] == sizes(RUN).state_bytes


def test_what_saves_memory_is_seen_to_save_it():
    plain = parts(RUN)
    full = parts(override(RUN, {"setting.compute.remat": "full"}))
    pieces = parts(override(RUN, {"accumulate": 2}))
    cut = parts(override(RUN, {"mesh.fsdp": 4}))
    kept = "kept for the backward pass"
    assert full[kept] < plain[kept] and pieces[kept] < plain[kept]
    assert pieces["gradients"] == 2 * plain["gradients"]
    assert cut["state"] < plain["state"] / 3 and cut[kept] == plain[kept]


def test_residuals_of_a_layer_are_at_least_its_input():
    """[layers, rows of a device, positions, hidden] is the least that any backward pass keeps."""
    setting = dataclasses.replace(RUN.setting, sizes=("8x16x32x2",))
    run = override(dataclasses.replace(RUN, setting=setting), {"setting.compute.remat": "full"})
    least = 8 * (8 // 4) * 16 * 16 * 4
    assert least <= parts(run)["kept for the backward pass"] < 3 * least


@pytest.mark.parametrize("topology", ["h200:8", "v5e:2x4"])
def test_synthetic_settings_have_a_memory_too(topology):
    assert 0 < estimate.memory(tiny.study().run, parse(topology)).bytes < 2**30
