"""The first state of a run that goes on from the state of another, and what that one was shown."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath

from rare_retention.errors import Damaged, UserError
from rare_retention.experiment import Run
from rare_retention.record.checkpoints import Store, about_checkpoint
from rare_retention.record.exposures import read_exposures
from rare_retention.record.manifest import read_manifest
from rare_retention.record.records import STATES, steps_in
from rare_retention.schedule.schedule import Exposures, History
from rare_retention.settings.student import Params
from rare_retention.train.state import Blueprint, State

_MOMENTS = (optax.ScaleByAdamState, optax.TraceState, optax.contrib.MuonState)
"""States of Optax that hold means over gradients, and the number of steps in them."""


class Parent(NamedTuple):
    """A run that another one goes on from.

    Attributes:
        folder: of the run.
        run: that is trained there.
        root: folder in it that holds the state: whole states that are kept for branches, or
            `resume/`, of which the newest stay.
    """

    folder: epath.Path
    run: Run
    root: str = STATES

    def shown(self, step: int) -> History:
        """What it was shown up to a state that it has kept.

        Raises:
            UserError: it has not kept that state, or does not say what was shown before.
        """
        if self.root != STATES:
            if self.run.turns:
                raise UserError(
                    f"{self.folder}: goes on from another run itself, and what that one was shown "
                    "stands beside whole states alone; keep one with snapshots.states"
                )
            return self.run.schedule().history(step, self.run.setting.watch_ids)
        if step not in steps_in(self.folder / STATES):
            raise UserError(f"{self.folder}: has no whole state of step {step}; train it first")
        slots = about_checkpoint(self.folder / STATES, step)["shown"]
        about = read_manifest(self.folder)
        sealed = about is None or about.sealed
        exposures = tuple(read_exposures(self.folder, self.run.identity(), sealed).values())
        return History(exposures, np.array(slots, np.int64))

    def restore(self, step: int, abstract: State) -> State:
        """A whole state that it has kept.

        Args:
            step: of the state.
            abstract: its state as `jax.ShapeDtypeStruct` with the shardings wanted.

        Raises:
            Damaged: it is, or of a run of another recipe.
        """
        store = Store(self.folder / self.root, self.run.identity())
        try:
            state: State = store.restore(step, abstract, varied=VARIED)
        except UserError as error:
            raise Damaged(
                f"{error}; delete {self.folder / self.root / str(step)}, and its command trains "
                "that run again from before it"
            ) from error
        finally:
            store.close()
        return state


def history(run: Run, step: int, before: History | None) -> History:
    """What a run is shown up to a state, and when, that of its parent included.

    Args:
        run: what is trained.
        step: updates before the state, at least `run.start`.
        before: what its parent was shown; None for a run that has none.
    """
    schedule, watched = run.schedule(), run.setting.watch_ids
    own = schedule.history(step, watched)
    if before is None:
        return own
    earlier = schedule.history(run.start, watched).shown
    both = zip(before.exposures, own.exposures, strict=True)
    joined = tuple(_joined(old, new, run.start) for old, new in both)
    return History(joined, before.shown + own.shown - earlier)


def _joined(before: Exposures, own: Exposures, start: int) -> Exposures:
    """Exposures before a step, and others from there on."""
    old, new = before.steps < start, own.steps >= start
    return Exposures(
        np.concatenate([before.steps[old], own.steps[new]]),
        np.concatenate([before.counts[old], own.counts[new]]),
    )


def goes_on(
    state: State, created: State, before: History, parent: Blueprint, branch: Blueprint
) -> State:
    """The state with what the branch's optimizer, rule and instruments carry.

    What both runs carry goes on. Moments do under the same method, whatever else of the optimizer
    differs, such as its clipping or its decays; those of another begin at zero. Schedules are read
    at the state's step. A rule that differs in any field begins anew, knowing the last exposures.
    Who has diverged stays frozen.

    Args:
        state: of the parent.
        created: the branch's own, at its step 0.
        before: what the parent was shown.
        parent: what its programs are compiled for.
        branch: the same of the branch.
    """
    step, same = int(state.step), parent.optimizer.method == branch.optimizer.method
    moments = {
        name: _moments(state.optimizer[name] if same else (), fresh, step)
        for name, fresh in created.optimizer.items()
    }
    rule = state.rule if parent.rule == branch.rule else created.rule
    if rule:
        since = _since(before, step)
        rule = rule | {"since": jax.device_put(since, created.rule["since"].sharding)}
    return filled(
        State(state.step, state.params, moments, state.followed, rule, state.guard),
        created.followed,
        created.guard,
    )


VARIED = ("followed", "guard")
"""Fields of a state in which a run may have other entries than it was saved with."""


def filled(state: State, followed: dict[str, Any], guard: dict[str, Any]) -> State:
    """A state whose `VARIED` fields have the given entries: its own, where they are like these."""
    own = {"followed": followed, "guard": guard}

    def entries(field: str) -> dict[str, Any]:
        before = getattr(state, field)
        return {
            name: before[name] if alike(before.get(name), fresh) else fresh
            for name, fresh in own[field].items()
        }

    return state._replace(followed=entries("followed"), guard=entries("guard"))


def completed(state: State, abstract: State, fresh: Callable[[Params], Any]) -> State:
    """A restored state with what it was saved without, begun anew.

    Args:
        state: as restored.
        abstract: the same run's, whole.
        fresh: weights -> entries of all `VARIED` fields.
    """
    if all(getattr(state, field).keys() == getattr(abstract, field).keys() for field in VARIED):
        return state
    return filled(state, *fresh(state.params))


def alike(first: Any, second: Any) -> bool:
    """Whether two trees have the same structure, shapes and types."""
    leaves = [jax.tree.leaves(tree) for tree in (first, second)]
    structures = [jax.tree.structure(tree) for tree in (first, second)]
    return len(set(structures)) == 1 and all(
        a.shape == b.shape and a.dtype == b.dtype for a, b in zip(*leaves, strict=True)
    )


def _moments(old: Any, fresh: Any, step: int) -> Any:
    """A fresh state of an optimizer with the moments of an old one, its schedules read at a step.

    Moments are found by their kind, since clipping in front of them moves them in the chain.
    """
    nodes = jax.tree.leaves(old, is_leaf=_has_moments)
    kept = {type(node): node for node in nodes if _has_moments(node)}

    def placed(path: tuple[Any, ...], node: Any) -> Any:
        if _has_moments(node):
            own = kept.get(type(node))
            return own if alike(own, node) else node
        if getattr(path[-1], "name", "") != "count":
            return node
        return jax.device_put(jnp.full_like(node, step), node.sharding)

    return jax.tree.map_with_path(placed, fresh, is_leaf=_has_moments)


def _has_moments(node: Any) -> bool:
    return isinstance(node, _MOMENTS)


def _since(before: History, step: int) -> np.ndarray:
    """Steps from the last exposure of each watched task to batch step - 1; -1 without one."""
    found = []
    for own in before.exposures:
        seen = own.steps[own.steps < step]
        found.append(step - 1 - int(seen[-1]) if len(seen) else -1)
    return np.array(found, np.int32)
