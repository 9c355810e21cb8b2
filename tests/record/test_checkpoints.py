import asyncio
import gc
import threading
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tensorstore
import tiny
from etils import epath

from rare_retention.errors import UserError
from rare_retention.mesh import MeshShape
from rare_retention.parallel import make_mesh, sharding
from rare_retention.record.checkpoints import Store, about_checkpoint, verify
from rare_retention.record.digest import digests
from rare_retention.record.records import RESUME, RETENTION, steps_in


def tree(value):
    half = jnp.full((3,), value, jnp.bfloat16)
    return {"a": jnp.full((8, 4), value, jnp.float32), "b": {"c": half, "step": jnp.int32(value)}}


def abstract(arrays, place=None):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), arrays)


def test_what_is_saved_is_restored_on_any_mesh(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    store = Store(folder, "recipe")
    store.save(5, tree(1))
    store.wait()
    rows = sharding(make_mesh(MeshShape(data=8)), "batch", None)
    shapes = abstract(tree(1))
    shapes["a"] = jax.ShapeDtypeStruct((8, 4), jnp.float32, sharding=rows)
    found = store.restore(5, shapes)
    assert found["a"].sharding == rows
    jax.tree.map(np.testing.assert_array_equal, found, tree(1))
    store.close()
    assert steps_in(folder) == [5]
    read = verify(folder, 5)
    np.testing.assert_array_equal(read["b"]["c"], tree(1)["b"]["c"])


@pytest.fixture
def held(monkeypatch):
    """While the event is clear, no file of a checkpoint is opened."""
    writing = threading.Event()
    opened = tensorstore.open

    async def wait(*args, **kwargs):
        while not writing.is_set():
            await asyncio.sleep(0.001)
        return await opened(*args, **kwargs)

    monkeypatch.setattr(tensorstore, "open", wait)
    yield writing
    writing.set()


class Followed(NamedTuple):
    weights: jax.Array
    followed: dict[str, jax.Array]


def test_what_stands_beside_a_checkpoint_is_what_it_was_when_it_was_saved(tmp_path, monkeypatch):
    """It is written later, while the caller goes on with its lists; they have been sealed."""
    store, listed = Store(epath.Path(tmp_path), "recipe"), {"metrics": ["a"]}
    save = store._manager.save

    def later(step, args, **options):
        listed["metrics"].append("b")
        return save(step, args=args, **options)

    monkeypatch.setattr(store._manager, "save", later)
    store.save(5, {"weights": jnp.arange(3.0)}, {"records": listed})
    store.close()
    assert about_checkpoint(epath.Path(tmp_path), 5)["records"] == {"metrics": ["a"]}


class Guarded(NamedTuple):
    weights: jax.Array
    followed: dict[str, jax.Array]
    guard: dict[str, jax.Array]


def test_a_field_that_a_checkpoint_was_saved_without_comes_back_empty(tmp_path):
    store = Store(epath.Path(tmp_path), "recipe")
    saved = Followed(jnp.arange(3.0), {"effect": jnp.ones(2)})
    store.save(5, saved)
    store.wait()
    wanted = abstract(Guarded(*saved, {"halted": jnp.zeros(2, jnp.int32)}))
    found = store.restore(5, wanted, ("followed", "guard"))
    store.close()
    assert found.guard == {}
    np.testing.assert_array_equal(found.weights, saved.weights)
    np.testing.assert_array_equal(found.followed["effect"], saved.followed["effect"])


@pytest.mark.parametrize("varied", [(), ("followed",)])
def test_a_folder_may_be_relative(tmp_path, monkeypatch, varied):
    """As in --workdir=runs/mine; a branch restores what its run follows and it does too."""
    monkeypatch.chdir(tmp_path)
    store = Store(epath.Path("runs/states"), "recipe")
    saved = Followed(jnp.arange(3.0), {"effect": jnp.ones(2)})
    store.save(5, saved)
    store.wait()
    found = store.restore(5, abstract(saved), varied)
    store.close()
    np.testing.assert_array_equal(found.weights, saved.weights)
    np.testing.assert_array_equal(found.followed["effect"], saved.followed["effect"])


@pytest.mark.parametrize("axis", [None, "batch"])
def test_a_save_outlives_the_donation_of_its_buffers(tmp_path, held, axis):
    """Also when nothing is written before later steps have had the memory of the saved state."""
    place = sharding(make_mesh(MeshShape(data=8)), axis)
    grow = jax.jit(lambda t: jax.tree.map(lambda x: x + jnp.ones_like(x), t), donate_argnums=0)
    saved = {"rows": jnp.arange(64.0), "halves": jnp.ones((8, 3), jnp.bfloat16)}
    state = grow(jax.device_put(saved, place))  # a buffer of JAX's own may be reused
    store = Store(epath.Path(tmp_path) / "resume", "recipe")
    store.save(1, state)
    for _ in range(4):
        state = grow(state)
    jax.block_until_ready(state)
    held.set()
    store.wait()
    read = store.restore(1, abstract(saved, place))
    np.testing.assert_array_equal(read["rows"], np.arange(64.0) + 1)
    np.testing.assert_array_equal(read["halves"], np.full((8, 3), 2))
    store.close()


def test_only_the_newest_are_kept(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    store = Store(folder, "recipe", keep=2)
    for step in (1, 2, 3):
        store.save(step, tree(step))
    store.close()
    assert steps_in(folder) == [2, 3]


def test_a_step_before_the_newest_is_saved_too(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    store = Store(folder, "recipe")
    for step in (2, 1):
        store.save(step, tree(step))
    store.close()
    assert steps_in(folder) == [1, 2]


def test_the_stores_of_a_run_meet_at_barriers_of_their_own(tmp_path, monkeypatch):
    """Or hosts that save the same step in both would take one for the other."""
    prefixes, manager = [], ocp.CheckpointManager

    def open_manager(*args, options, **kwargs):
        prefixes.append(options.multiprocessing_options.barrier_sync_key_prefix)
        return manager(*args, options=options, **kwargs)

    monkeypatch.setattr(ocp, "CheckpointManager", open_manager)
    for root in (RESUME, RETENTION):
        Store(epath.Path(tmp_path) / root, "recipe").close()
    assert prefixes == [RESUME, RETENTION]


def test_what_is_set_aside_is_no_checkpoint_any_more_and_is_kept(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    store = Store(folder, "recipe")
    for step in (1, 2):
        store.save(step, tree(step))
    store.wait()
    store.set_aside(2)
    assert store.steps() == [1]
    store.save(2, tree(3))
    store.close()
    assert steps_in(folder) == [1, 2]
    np.testing.assert_array_equal(verify(folder, 2)["a"], tree(3)["a"])
    assert (folder / "2.damaged" / "tree").is_dir()


def test_what_a_checkpoint_is_can_be_read_without_it(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    store = Store(folder, "recipe")
    store.save(5, tree(1))
    store.close()
    found = about_checkpoint(folder, 5)
    assert found["identity"] == "recipe"
    assert found["digests"] == digests(tree(1))
    with pytest.raises(UserError, match="6: cannot be restored"):
        about_checkpoint(folder, 6)


def test_another_recipe_is_refused(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    store = Store(folder, "recipe")
    store.save(1, tree(1))
    store.close()
    other = Store(folder, "other")
    with pytest.raises(UserError, match="resume/1: belongs to recipe recipe, not other"):
        other.restore(1, abstract(tree(1)))
    other.close()


def test_damage_is_one_line(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    store = Store(folder, "recipe")
    store.save(1, tree(1))
    store.wait()
    with tiny.flipped_bit(tmp_path / "resume" / "1"), pytest.raises(UserError) as caught:
        store.restore(1, abstract(tree(1)))
    assert "resume/1: " in str(caught.value)
    assert "\n" not in str(caught.value)
    store.close()
    assert steps_in(epath.Path(tmp_path) / "absent") == []


def test_when_one_array_cannot_be_read_the_reads_of_others_do_not_complain(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    many = {str(i): jnp.full((64, 64), i, jnp.float32) for i in range(20)}
    store = Store(folder, "recipe")
    store.save(1, many)
    store.wait()
    for part in (tmp_path / "resume" / "1" / "tree").glob("**/d/*"):
        part.write_bytes(b"")
    for _ in range(20):
        with pytest.raises(UserError, match="cannot be restored"):
            store.restore(1, abstract(many))
    store.close()
    gc.collect()  # a complaint is a warning, and so an error


def test_what_cannot_be_restored_is_named_with_its_file_and_field(tmp_path):
    folder = epath.Path(tmp_path) / "resume"
    store = Store(folder, "recipe")
    store.save(3, {"params": {"w": jnp.arange(5000.0).reshape(50, 100)}, "step": jnp.int32(3)})
    store.close()
    for path in sorted(Path(folder / "3").rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        path.write_bytes(b"")
        try:
            verify(folder, 3)
        except UserError as error:
            said = str(error)
            assert path.name in said or "step" in said or "params/w" in said, said
            assert "bound method" not in said and "\n" not in said
        path.write_bytes(content)
    verify(folder, 3)
