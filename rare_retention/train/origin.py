"""The first state of a run that goes on from the state of another, and what that one was shown."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath

from rare_retention.errors import UserError
from rare_retention.experiment import Run
from rare_retention.record.checkpoints import STATES, Store, about_checkpoint, steps_in
from rare_retention.record.exposures import read_exposures
from rare_retention.schedule.schedule import Exposures, History
from rare_retention.train.state import State

_COUNTED = (optax.ScaleByScheduleState, optax.InjectStatefulHyperparamsState)
"""States of Optax that count steps to look a schedule up, and not to weigh their moments."""


class Parent(NamedTuple):
    """A run that another one goes on from.

    Attributes:
        folder: of the run; `states/` holds the state.
        run: that is trained there.
    """

    folder: epath.Path
    run: Run

    def shown(self, step: int) -> History:
        """What it was shown up to a state that it has kept.

        Raises:
            UserError: it has not kept that state.
        """
        if step not in steps_in(self.folder / STATES):
            raise UserError(f"{self.folder}: has no whole state of step {step}; train it first")
        slots = about_checkpoint(self.folder / STATES, step)["shown"]
        exposures = tuple(read_exposures(self.folder).values())
        return History(exposures, np.array(slots, np.int64))

    def restore(self, step: int, abstract: State) -> State:
        """A whole state that it has kept.

        Args:
            step: of the state.
            abstract: its state as `jax.ShapeDtypeStruct` with the shardings wanted.

        Raises:
            UserError: it is damaged, or of a run of another recipe.
        """
        store = Store(self.folder / STATES, self.run.identity())
        try:
            state: State = store.restore(step, abstract, varied="followed")
        except UserError as error:
            raise UserError(
                f"{error}; delete {self.folder / STATES / str(step)}, and the same command trains "
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


def goes_on(state: State, created: State, before: History) -> State:
    """The state with what the branch's optimizer, rule and instruments carry.

    What both runs carry goes on. Of another optimizer the moments begin at zero, and its schedules
    are read at the state's step; another rule begins anew, knowing the last exposures.

    Args:
        state: of the parent.
        created: the branch's own, at its step 0.
        before: what the parent was shown.
    """
    moments = {
        name: state.optimizer[name]
        if alike(state.optimizer[name], fresh)
        else _counting(fresh, int(state.step))
        for name, fresh in created.optimizer.items()
    }
    rule = state.rule if alike(state.rule, created.rule) else created.rule
    if rule:
        since = _since(before, int(state.step))
        rule = rule | {"since": jax.device_put(since, created.rule["since"].sharding)}
    followed = {
        name: state.followed[name] if alike(state.followed.get(name), fresh) else fresh
        for name, fresh in created.followed.items()
    }
    return State(state.step, state.params, moments, followed, rule)


def alike(first: Any, second: Any) -> bool:
    """Whether two trees have the same structure, shapes and types."""
    leaves = [jax.tree.leaves(tree) for tree in (first, second)]
    structures = [jax.tree.structure(tree) for tree in (first, second)]
    return len(set(structures)) == 1 and all(
        a.shape == b.shape and a.dtype == b.dtype for a, b in zip(*leaves, strict=True)
    )


def _counting(moments: Any, step: int) -> Any:
    """A fresh state of an optimizer whose schedules are read from a step on."""

    def placed(node: Any) -> Any:
        if not isinstance(node, _COUNTED):
            return node
        count = jax.device_put(jnp.full_like(node.count, step), node.count.sharding)
        return node._replace(count=count)

    return jax.tree.map(placed, moments, is_leaf=lambda node: isinstance(node, _COUNTED))


def _since(before: History, step: int) -> np.ndarray:
    """Steps from the last exposure of each watched task to batch step - 1; -1 without one."""
    found = []
    for own in before.exposures:
        seen = own.steps[own.steps < step]
        found.append(step - 1 - int(seen[-1]) if len(seen) else -1)
    return np.array(found, np.int32)
