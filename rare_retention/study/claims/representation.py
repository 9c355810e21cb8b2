"""Claims on what language models represent and use, read off their last snapshots (Figs. 7, 10).

They need the evidence of `launch.evidence`. A task counts where some size, on the mean of its
models, has less than half of the loss of guessing left: nothing has to be represented for a task
that no size learns. Where several tasks are injected, or the grid has several places, the statistic
is their mean; those that cannot test a claim do not count.
"""

import json
from collections.abc import Callable
from typing import Any

import xarray as xr

from rare_retention.config import to_dict
from rare_retention.evidence import representation, states, text_tasks
from rare_retention.representation.kinds import Options
from rare_retention.study.claims.claim import (
    Claim,
    NotTested,
    over_tasks,
    require,
    require_sizes,
)
from rare_retention.wording import plural

_UNLEARNED = "the task is not learned"
_FEWEST_LAYERS = 3  # of two the first is the one or the other


def _r2_by_size(results: xr.Dataset) -> xr.DataArray:
    _require(results, "r2")
    require_sizes(results)

    def difference(task: str, point: xr.Dataset) -> xr.DataArray:
        _learning_sizes(point, task)
        found = representation.at_end(point, "r2", task).clip(min=0)  # below, nothing can be read
        return found.isel(size=-1, drop=True) - found.isel(size=0, drop=True)

    return _over_asked(results, difference, "r2")


def _modes_by_frequency(results: xr.Dataset) -> xr.DataArray:
    _require(results, "modes", "modes_by_chance")
    if "per_token" not in results.dims:
        raise NotTested("the study does not vary the frequency")

    def difference(task: str, point: xr.Dataset) -> xr.DataArray:
        at = {float(one["per_token"]): one for one in states.points(point)}
        if len(at) < 2:
            raise NotTested("fewer than two values of the frequency have a finished run")
        sizes = _learning_sizes(at[max(at)], task)
        found = {}
        for rate in (min(at), max(at)):
            modes, chance = representation.modes_at_end(at[rate], task)
            found[rate] = (modes - chance).sel(size=sizes).mean("size", skipna=False)
        rise = found[max(at)] - found[min(at)].reset_coords(drop=True)
        return rise.reset_coords(drop=True)

    return _over_asked(results, difference, "modes", "per_token")


def _first_layer(results: xr.Dataset) -> xr.DataArray:
    _require(results, "null_effect")
    if results.sizes["layer"] < _FEWEST_LAYERS:
        raise NotTested(
            f"the models have {plural(results.sizes['layer'], 'layer')}: which of fewer than "
            f"{_FEWEST_LAYERS} matters most says little of the first"
        )

    def ratio(task: str, point: xr.Dataset) -> xr.DataArray:
        effects = representation.at_end(point, "null_effect", task)
        effects = effects.sel(size=_learning_sizes(point, task))
        layers = effects.notnull().any(states.UNITS).sum("layer")
        found = effects.isel(size=(layers >= _FEWEST_LAYERS).to_numpy())
        if not found.sizes["size"]:
            raise NotTested(f"no size of {_FEWEST_LAYERS} layers or more learns the task")
        first = found.sel(layer=1, drop=True)
        share: xr.DataArray = first / found.sel(layer=found["layer"] > 1).max("layer")
        return share.mean("size", skipna=False)

    return _over_asked(results, ratio, "null_effect")


def _value_is_causal(results: xr.Dataset) -> xr.DataArray:
    _require(results, "alignment")

    def success(task: str, point: xr.Dataset) -> xr.DataArray:
        if _learning_sizes(point, task)[-1] != point["size"][-1]:
            raise NotTested(_UNLEARNED + " by the largest size")
        left = text_tasks.left(point, task, half="test_").isel(size=-1)
        if not states.final(left).mean() < text_tasks.LEARNED:
            raise NotTested("the largest size does not know the test half: pairs have no answer")
        return representation.at_end(point, "alignment", task).isel(size=-1, drop=True)

    return _over_asked(results, success, "alignment")


def _require(results: xr.Dataset, *names: str) -> None:
    """Checks that evidence has been collected, where the claims say.

    Raises:
        NotTested: it has not.
    """
    require(results, "loss", "chance")
    if missing := [name for name in names if name not in results]:
        raise NotTested(f"the last launch.evidence has not measured {', '.join(missing)}")
    fixed = to_dict(Options())
    for name in names:
        asked = json.loads(results[name].attrs.get("options", "{}"))
        if other := {option: value for option, value in asked.items() if value != fixed[option]}:
            said = ", ".join(f"--{option}={value}" for option, value in other.items())
            raise NotTested(f"launch.evidence was run with {said}, the claim is about its defaults")


def _learning_sizes(point: xr.Dataset, task: str) -> list[Any]:
    """The sizes that learn a task at a point of the grid, from small to large.

    Raises:
        NotTested: there are none.
    """
    left = states.final(text_tasks.left(point, task)).mean(states.UNITS)
    sizes: list[Any] = left["size"].to_numpy()[(left < text_tasks.LEARNED).to_numpy()].tolist()
    if not sizes:
        raise NotTested(_UNLEARNED)
    return sizes


def _over_asked(
    results: xr.Dataset,
    statistic: Callable[[str, xr.Dataset], xr.DataArray],
    name: str,
    *keep: str,
) -> xr.DataArray:
    """Mean of a statistic over tasks that a variable was measured of, and over grid points."""
    return over_tasks(results, representation.asked(results, name), statistic, *keep)


CLAIMS = (
    Claim(
        name="r2_grows_with_size",
        statement="The value of a symbol can be read off a larger model's first layer better.",
        source="Fig. 7a",
        statistic="R^2 of a linear probe, cross-validated over symbols, 0 where it is below, at "
        "the last snapshot: largest minus smallest size, where some size learns the task.",
        relation=">",
        threshold=0.1,
        compute=_r2_by_size,
        account="none",
        against="Values can be read off the smallest model's first layer as well as off the "
        "largest one's.",
        bounds=(-1, 1),
    ),
    Claim(
        name="modes_grow_with_frequency",
        statement="The more frequent modular addition is, the more Fourier modes of the sum a "
        "model has.",
        source="Fig. 7b",
        statistic="Fourier modes over all layers at the last snapshot beyond those of symbols with "
        "random values: highest minus lowest frequency, mean over the sizes that learn the task at "
        "the highest.",
        relation=">",
        threshold=0.0,
        compute=_modes_by_frequency,
        account="none",
        against="Where the sum is shown more often models have no more Fourier modes of it than "
        "elsewhere, chance taken off.",
    ),
    Claim(
        name="first_layer_is_most_causal",
        statement="Of all MLP layers the first matters most for an injected task.",
        source="Fig. 10",
        statistic="Effect of the null intervention on the first MLP layer over the largest effect "
        "on any other at the last snapshot, mean over the sizes that learn the task, of models of "
        "three layers or more.",
        relation=">",
        threshold=1.0,
        compute=_first_layer,
        account="none",
        against="Some later MLP layer matters as much for the task as the first.",
    ),
    Claim(
        name="value_is_causal",
        statement="A subspace of the residual stream at an input token carries the symbol's value, "
        "and the model uses it.",
        source="App. B.4",
        statistic="Share of interchange interventions on fresh pairs after which the answer is the "
        "counterfactual label, at the last snapshot of the largest size, where it learns both "
        "halves of the task.",
        relation=">=",
        threshold=0.9,
        compute=_value_is_causal,
        account="none",
        against="Exchanging the subspace leaves the answer as it was, however well the value "
        "can be read there.",
        bounds=(0, 1),
    ),
)
