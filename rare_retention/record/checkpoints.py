"""Two roots of Orbax checkpoints: `resume/` to go on, `retention/` to look back.

Both keep digests of their arrays beside them and compare them on the way back in.
"""

from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.digest import digests
from rare_retention.record.files import disk

RESUME, RETENTION = "resume", "retention"


class Store:
    """Checkpoints of one kind in one folder; saves go on in the background."""

    def __init__(self, folder: epath.Path, identity: str, keep: int | None = None) -> None:
        """Opens the store.

        Args:
            folder: root of the checkpoints, made when the first is saved.
            identity: fingerprint of the recipe, written into every checkpoint.
            keep: newest checkpoints that stay; None keeps all.
        """
        self._folder = folder
        self._identity = identity
        options = ocp.CheckpointManagerOptions(max_to_keep=keep)
        with disk(folder):
            self._manager = ocp.CheckpointManager(
                folder.resolve(), options=options, item_names=("tree", "meta")
            )

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, tree: Any) -> None:
        """Saves a tree of arrays; returns when they are copied, not when they are written."""
        # The step donates its buffers, and on CPU a copy to the host may be a view of them.
        tree = jax.tree.map(jnp.copy, tree)
        meta = {"identity": self._identity, "digests": digests(tree)}
        with disk(self._folder):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    tree=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave(meta)
                ),
                force=True,
            )

    def restore(self, step: int, abstract: Any) -> Any:
        """Reads a checkpoint back.

        Args:
            step: which one.
            abstract: tree of `jax.ShapeDtypeStruct` with the shardings wanted.

        Raises:
            UserError: it is damaged, or belongs to another recipe.
        """
        place = self._folder / str(step)
        try:
            found = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    tree=ocp.args.StandardRestore(abstract), meta=ocp.args.JsonRestore()
                ),
            )
        except Exception as error:  # Orbax raises whatever the damaged file makes it raise
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{place}: cannot be restored ({reason})") from error
        if found.meta["identity"] != self._identity:
            raise UserError(
                f"{place}: belongs to recipe {found.meta['identity']}, not to {self._identity}"
            )
        changed = [
            name for name, value in digests(found.tree).items()
            if found.meta["digests"].get(name) != value
        ]
        if changed:
            raise UserError(f"{place}: damaged, {changed[0]} differs from its digest")
        return found.tree

    def delete(self, step: int) -> None:
        """Removes a checkpoint."""
        self._manager.delete(step)

    def wait(self) -> None:
        """Waits for saves under way.

        Raises:
            UserError: a save failed for want of space.
        """
        with disk(self._folder):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for saves under way and closes the store."""
        with disk(self._folder):
            self._manager.close()
