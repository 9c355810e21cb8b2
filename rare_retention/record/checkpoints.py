"""Roots of Orbax checkpoints: `resume/` to go on, `retention/` to look back, `states/` to branch.

All keep digests of their arrays beside them and compare them on the way back in.
"""

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from rare_retention.errors import Damaged
from rare_retention.parallel import is_primary
from rare_retention.record import seal
from rare_retention.record.digest import digests
from rare_retention.record.event_loops import loops_that_finish
from rare_retention.record.files import disk, folder_to_disk, listed, tree_to_disk

_ITEMS = ("tree", "meta")


class Store:
    """Checkpoints of one kind in one folder; saves go on in the background."""

    def __init__(self, folder: epath.Path, identity: str, keep: int | None = None) -> None:
        """Opens the store.

        Args:
            folder: root of the checkpoints, made if it is not there.
            identity: fingerprint of the recipe, written into every checkpoint.
            keep: newest checkpoints that stay; None keeps all.
        """
        self._folder = folder
        self._identity = identity
        # Both stores of a run may save the same step at once; hosts must not mix their barriers up.
        barriers = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=folder.name)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, multiprocessing_options=barriers)
        self._saved: list[int] = []  # of which the system may still hold back parts
        with disk(folder):
            self._manager = ocp.CheckpointManager(
                folder.resolve(), options=options, item_names=_ITEMS
            )

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, tree: Any, about: Mapping[str, Any] | None = None) -> None:
        """Saves a tree of arrays; returns when they are on the host, not when they are written.

        Args:
            step: of the checkpoint.
            tree: what is saved.
            about: JSON values that stand beside it, for `about_checkpoint`.
        """
        # On CPU what is on the host may be a view of the tree. A step may donate the tree all the
        # same: JAX reuses no buffer while an array of NumPy views it.
        # It is written in the background: what the caller changes meanwhile must not change it.
        own = copy.deepcopy(dict(about or {}))
        meta = seal.sealed_json(
            {"identity": self._identity, "step": step, "digests": digests(tree), **own}
        )
        if self._saved:
            self.wait()  # as Orbax does; what was saved before is on the disk before more is
        with disk(self._folder):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    tree=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave(meta)
                ),
                force=True,
            )
        self._saved.append(step)

    def restore(self, step: int, abstract: Any, varied: Sequence[str] = ()) -> Any:
        """Reads a checkpoint back.

        Args:
            step: which one.
            abstract: tree of `jax.ShapeDtypeStruct` with the shardings wanted.
            varied: fields of the tree, dicts, of which the checkpoint may have other entries or
                none; those that both have come back.

        Raises:
            Damaged: it is damaged, or belongs to another recipe.
        """
        place = self._folder / str(step)

        def wanted() -> Any:
            if not varied:
                return abstract
            tree = place.resolve() / "tree"  # Orbax takes no relative paths
            saved = ocp.StandardCheckpointHandler().metadata(tree).tree
            # A dict, since an older checkpoint has not all fields.
            own = {field: value for field, value in abstract._asdict().items() if field in saved}
            return own | {
                field: _as_saved(saved[field] or {}, own[field]) for field in varied if field in own
            }

        tree, meta = _read(self._manager, step, wanted, place)
        if meta["identity"] != self._identity:
            raise Damaged(f"{place}: belongs to recipe {meta['identity']}, not {self._identity}")
        if not varied:
            return tree
        kept = {field: _wanted(tree.get(field, {}), getattr(abstract, field)) for field in varied}
        return type(abstract)(**{**tree, **kept})

    def set_aside(self, step: int) -> None:
        """Renames a checkpoint that could not be restored to STEP.damaged: it may be repaired."""
        place = self._folder / str(step)
        if is_primary():
            place.rename(place.with_name(f"{step}.damaged"))
        self._manager.reload()

    def delete(self, step: int) -> None:
        """Removes a checkpoint."""
        self._manager.delete(step)

    def about(self, step: int) -> dict[str, Any]:
        """What stands beside a checkpoint, see `about_checkpoint`."""
        return _meta(self._manager, step, self._folder / str(step))

    def wait(self) -> None:
        """Waits for saves under way, and until the disk has them.

        Raises:
            UserError: a save failed for want of space.
        """
        with disk(self._folder):
            self._manager.wait_until_finished()
        self._settle()

    def close(self) -> None:
        """Waits for saves under way and closes the store."""
        with disk(self._folder):
            self._manager.close()
        self._settle()

    def _settle(self) -> None:
        """Has the system write out what was saved: after a loss of power it is whole, or absent."""
        if is_primary():
            for step in self._saved:
                tree_to_disk(self._folder / str(step))
            if self._saved:
                folder_to_disk(self._folder)
        self._saved.clear()


def verify(folder: epath.Path, step: int) -> Any:
    """Reads a checkpoint as it was saved, onto the default device.

    Args:
        folder: root of the checkpoints.
        step: which one.

    Returns:
        Its tree: parameters (`retention/`), or the whole state, as nested dicts.

    Raises:
        Damaged: it is damaged.
    """
    handlers = {"tree": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
    with ocp.CheckpointManager(folder.resolve(), item_handlers=handlers) as manager:

        def as_saved() -> Any:
            return jax.tree.map(_here, manager.item_metadata(step)["tree"].tree)

        return _read(manager, step, as_saved, folder / str(step))[0]


def _here(stored: Any) -> jax.ShapeDtypeStruct:
    """A stored array, to be read onto the default device."""
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(stored.shape, stored.dtype, sharding=place)


def _as_saved(saved: dict[str, Any], abstract: dict[str, Any]) -> dict[str, Any]:
    """What is to be read of the entries that a checkpoint has, wherever they are not wanted."""
    return {
        name: abstract[name] if name in abstract else jax.tree.map(_here, own)
        for name, own in saved.items()
    }


def _wanted(saved: dict[str, Any], abstract: dict[str, Any]) -> dict[str, Any]:
    """The entries of a checkpoint that are wanted."""
    return {name: own for name, own in saved.items() if name in abstract}


def about_checkpoint(folder: epath.Path, step: int) -> dict[str, Any]:
    """What stands beside a checkpoint, such as `identity` and `digests`; arguments as `verify`.

    Raises:
        Damaged: they cannot be read.
    """
    handlers = {"meta": ocp.JsonCheckpointHandler()}
    with ocp.CheckpointManager(folder.resolve(), item_handlers=handlers) as manager:
        return _meta(manager, step, folder / str(step))


def _meta(manager: ocp.CheckpointManager, step: int, place: epath.Path) -> dict[str, Any]:
    wanted = ocp.args.Composite(meta=ocp.args.JsonRestore())
    return _opened(_restore(manager, step, lambda: wanted, place).meta, place)


def _opened(meta: Any, place: epath.Path) -> dict[str, Any]:
    """What stands beside a checkpoint.

    Raises:
        Damaged: it was edited, or is that of another step.
    """
    own = dict(meta) if isinstance(meta, dict) else {}
    # Those of layout 3 do not say their step, and have no seal.
    found = seal.open_json(own, place, "delete it", required="step" in own or not own)
    if found.get("step", int(place.name)) != int(place.name):
        raise Damaged(f"{place}: is the checkpoint of step {found['step']}; put it back")
    if not {"identity", "digests"} <= found.keys():
        raise Damaged(f"{place}: damaged, its digests are missing; delete it")
    return found


def _read(
    manager: ocp.CheckpointManager, step: int, abstract: Callable[[], Any], place: epath.Path
) -> tuple[Any, dict[str, Any]]:
    """Tree and meta of a checkpoint whose digests agree; `abstract` says what is wanted."""

    def both() -> ocp.args.Composite:
        return ocp.args.Composite(
            tree=ocp.args.StandardRestore(abstract()), meta=ocp.args.JsonRestore()
        )

    found = _restore(manager, step, both, place)
    meta = _opened(found.meta, place)
    kept = meta["digests"]
    changed = [name for name, value in digests(found.tree).items() if kept.get(name) != value]
    if changed:
        raise Damaged(f"{place}: damaged, {changed[0]} differs from its digest")
    return found.tree, meta


def _restore(
    manager: ocp.CheckpointManager,
    step: int,
    wanted: Callable[[], ocp.args.Composite],
    place: epath.Path,
) -> Any:
    try:
        with loops_that_finish():
            return manager.restore(step, args=wanted())
    except Exception as error:  # Orbax raises whatever the damaged file makes it raise
        raise Damaged(f"{place}: cannot be restored ({_reason(error, place)})") from error


_TOLD = ("tree/_METADATA", "tree/_sharding", "meta/metadata")
"""Files of a checkpoint that are JSON, below its folder."""


def _reason(error: BaseException, place: epath.Path) -> str:
    """What is wrong with a checkpoint: the file, and the field if it is known.

    Orbax names the file of no JSON, and prints a method in place of what TensorStore says.
    """
    sizes = listed(place / "tree" / "array_metadatas", "*")
    for name in (*_TOLD, *(f"tree/array_metadatas/{path.name}" for path in sizes)):
        path = place / name
        if not path.exists():
            return f"{name} is missing"
        try:
            json.loads(path.read_text())
        except ValueError:
            return f"{name} is damaged, not valid JSON"
    said = _innermost(error)
    field = re.search(r'"([^"]+?)/(?:\.zarray|[\d.]+)"', said)
    files = re.findall(r'file "([^"]+)"', said)
    if not files:
        return said[:200]
    file = max(files, key=len).removeprefix(f"{place.resolve()}/")
    what = f"{field[1].replace('.', '/')} cannot be read from {file}" if field else file
    return f"{what}: {said.partition(':')[0].strip()[:80]}"


def _innermost(error: BaseException) -> str:
    """The text of the first of an error's causes that names a file, in one line; else its own."""
    own: BaseException | None = error
    texts = []
    while own is not None:
        texts.append(" ".join(str(own).split()))
        own = own.__cause__ or own.__context__
    named = [text for text in texts if 'file "' in text]
    return next(iter(named or [text for text in texts if "<bound method" not in text]), "no reason")
