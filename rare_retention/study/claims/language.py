"""Claims on tasks injected into the text of language models (Figs. 5, 6, 22, 23).

Statistics are shares: what a task's loss on its training half has left of the loss of guessing
among its labels, at most 1. A task counts as learned below half of it. Where several tasks are
injected, the statistic is their mean; those that cannot test a claim do not count.

Sizes are compared by what they end with, which room, gains and what is kept make alike: none of
these claims speaks for one account.

That a task is learned the later the rarer it is (Fig. 6a) is a check. The studies' frequencies
change how much of it is shown, and at any step less has been seen of the rarer one; a model that
only counts instances passes. At equal numbers of instances the paper says nothing of the order.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from rare_retention.evidence import exposures, states, text_tasks
from rare_retention.study.claims.claim import (
    Claim,
    NotTested,
    counted,
    over_points,
    over_tasks,
    require,
    require_sizes,
)

LEAST_HELD = 0.1
"""Students that have at least 1 minus this share left at every gap hold nothing to lose."""

_LEVELS = 8  # text losses at which curves are compared
_UNLEARNED = "no size learns the task at any frequency"


def _smallest_minus_largest(results: xr.Dataset) -> xr.DataArray:
    require_sizes(results)

    def difference(task: str, point: xr.Dataset) -> xr.DataArray:
        final = _final(point, task)
        return _difference(final.sel(per_token=_rarest_learned(final), drop=True))

    return _over_injected(results, difference, "per_token")


def _learned_in_order(results: xr.Dataset) -> xr.DataArray:
    cells: list[int] = []

    def share(task: str, point: xr.Dataset) -> xr.DataArray:
        def reach(at: xr.Dataset) -> xr.DataArray:
            return text_tasks.first_reach(text_tasks.left(at, task), text_tasks.LEARNED)

        times = _by(point, "per_token", reach)
        if not np.isfinite(times).any():
            raise NotTested(_UNLEARNED)
        pairs = text_tasks.ordered_pairs(times).sum(("per_token", "rarer", "size"))
        cells.append(int(pairs.where(pairs > 0).min()))
        return text_tasks.learned_in_order(times)

    return counted(_over_injected(results, share, "per_token"), cells)


def _between_curves(results: xr.Dataset) -> xr.DataArray:
    require(results, "unigram_entropy")
    require_sizes(results)

    def distance(task: str, point: xr.Dataset) -> xr.DataArray:
        final = _final(point, task)
        most = float(final["per_token"].max())
        ends = _ends(final.sel(per_token=most)).mean(states.UNITS)
        if not (ends < text_tasks.LEARNED).all():
            raise NotTested("smallest and largest size do not both learn the highest frequency")
        return abs(_at_text_loss(point.sel(per_token=most), task, _LEVELS)).mean(
            "level", skipna=False
        )

    return _over_injected(results, distance, "per_token")


def _small_plateaus(results: xr.Dataset) -> xr.DataArray:
    require(results, "unigram_entropy")
    require_sizes(results)

    def difference(task: str, point: xr.Dataset) -> xr.DataArray:
        final = _final(point, task)
        rare = point.sel(per_token=_rarest_learned(final))
        return _at_text_loss(rare, task, 1).isel(level=0, drop=True)

    return _over_injected(results, difference, "per_token")


def _equal_compute(results: xr.Dataset) -> xr.DataArray:
    require_sizes(results)

    def difference(task: str, point: xr.Dataset) -> xr.DataArray:
        final = _final(point, task)
        rare = point.sel(per_token=_rarest_learned(final))
        smaller, larger = text_tasks.at_equal_compute(text_tasks.left(rare, task))
        mean: xr.DataArray = (smaller - larger).mean("pair", skipna=False)
        return mean

    return _over_injected(results, difference, "per_token")


def _gap_slope(results: xr.Dataset) -> xr.DataArray:
    def slope(task: str, point: xr.Dataset) -> xr.DataArray:
        def late(at: xr.Dataset) -> xr.DataArray:
            share = text_tasks.share_left(at, task, at["loss"])
            before = exposures.before_last(share, exposures.of(at, task), late=0.25)
            if before is None:
                raise NotTested(
                    f"at gap {int(at['gap'])} no late state just before an exposure was measured"
                )
            return before

        left = _by(point, "gap", late).mean("size", skipna=False)
        doublings = np.log2(left["gap"].astype(np.float64))
        centred = doublings - doublings.mean()
        fitted: xr.DataArray = (left * centred).sum("gap", skipna=False) / (centred**2).sum()
        return fitted.where(left.min("gap") <= 1 - LEAST_HELD)

    return _over_injected(results, slope, "gap")


def _text_learned(results: xr.Dataset) -> xr.DataArray:
    require(results, "loss", "unigram_entropy")

    def least(point: xr.Dataset) -> xr.DataArray:
        final = states.final(text_tasks.text_loss(point))
        fall: xr.DataArray = (point["unigram_entropy"] - final).min("size", skipna=False)
        return fall

    return over_points(results, least).min("point", skipna=False)


def _over_injected(
    results: xr.Dataset, statistic: Callable[[str, xr.Dataset], xr.DataArray], keep: str
) -> xr.DataArray:
    """Mean of a statistic over injected tasks and over grid points that keep one dimension."""
    require(results, "loss", "chance")
    return over_tasks(results, text_tasks.injected(results), statistic, keep)


def _final(point: xr.Dataset, task: str) -> xr.DataArray:
    """What is left of a task at the end [per_token, ...]."""
    return _by(point, "per_token", lambda at: states.final(text_tasks.left(at, task)))


def _by(point: xr.Dataset, name: str, value: Callable[[xr.Dataset], xr.DataArray]) -> xr.DataArray:
    """Values along a dimension of the grid of which at least two places have a finished run."""
    words = {"per_token": "frequency"}.get(name, name)
    if name not in point.dims:
        raise NotTested(f"the study does not vary the {words}")
    if len(list(states.points(point))) < 2:
        raise NotTested(f"fewer than two values of the {words} have a finished run")
    return states.along(point, name, value)


def _rarest_learned(left: xr.DataArray) -> float:
    """The lowest frequency at which some size, on the mean of its students, learns the task.

    Args:
        left: final shares [per_token, size, ...].

    Raises:
        NotTested: there is none, or it is the lowest of all and every size learns it.
    """
    learned = left.mean(states.UNITS) < text_tasks.LEARNED
    rates = left["per_token"]
    rarest = float(rates.where(learned.any("size")).min())
    if np.isnan(rarest):
        raise NotTested(_UNLEARNED)
    if rarest == rates.min() and learned.sel(per_token=rarest).all():
        raise NotTested("every size learns the task at the lowest frequency: none is rare enough")
    return rarest


def _at_text_loss(point: xr.Dataset, task: str, count: int) -> xr.DataArray:
    """What the smallest size has left at text losses that all pass, minus what the largest has."""
    levels = text_tasks.shared_text_losses(point, count)
    return _difference(text_tasks.at_text_loss(point, task, levels))


def _ends(values: xr.DataArray) -> xr.DataArray:
    """Smallest and largest size."""
    return values.isel(size=[0, -1])


def _difference(values: xr.DataArray) -> xr.DataArray:
    """Smallest minus largest size."""
    ends = _ends(values)
    return ends.isel(size=0, drop=True) - ends.isel(size=1, drop=True)


CLAIMS = (
    Claim(
        name="larger_learns_rarer",
        statement="A larger model learns an injected task at frequencies at which a small one "
        "does not.",
        source="Fig. 5",
        statistic="Share of the loss of guessing that is left at the end, on the training half: "
        "smallest minus largest size, at the lowest frequency at which any size has less than "
        "half left.",
        relation=">",
        threshold=0.25,
        compute=_smallest_minus_largest,
        account="none",
        against="Where the task is so rare that only some size learns it the smallest ends with "
        "as little of its loss left.",
        bounds=(-1, 1),
    ),
    Claim(
        name="frequency_orders_learning",
        statement="An injected task is learned the later the rarer it is.",
        source="Fig. 6a",
        statistic="Share of pairs of frequencies, of which a size learns at least one, that it "
        "learns in their order: it has less than half of the loss of guessing left first at the "
        "higher one.",
        relation=">=",
        threshold=0.9,
        compute=_learned_in_order,
        account="none",
        against="A task is learned later at a frequency at which more of it has been shown: it "
        "is not shown as asked for, or training fails.",
        kind="check",
        bounds=(0, 1),
    ),
    Claim(
        name="gap_raises_task_loss",
        statement="At the same long-run frequency, the loss of an injected task is the higher the "
        "longer the gap between its injections.",
        source="Fig. 6b",
        statistic="Slope against log2 of the gap of the share of the loss of guessing that is "
        "left just before the last exposure so measured in the last quarter of the run, mean over "
        "sizes, which must be 0.9 or less at some gap.",
        relation=">",
        threshold=0.0,
        compute=_gap_slope,
        account="none",
        against="The loss left just before an injection is as low at long gaps as at short ones.",
    ),
    Claim(
        name="same_curve_at_high_frequency",
        statement="Where an injected task is frequent, its loss is a function of the text loss "
        "that all sizes share.",
        source="Fig. 22",
        statistic="Mean over text losses, from the lowest that all sizes reach up to the unigram "
        "entropy, of the absolute difference between smallest and largest size in the share of "
        "the loss of guessing that is left, at the highest frequency.",
        relation="<=",
        threshold=0.1,
        compute=_between_curves,
        account="none",
        against="At the same text loss sizes differ in a frequent task too, so that size "
        "matters beyond the text it has learned.",
        bounds=(0, 1),
    ),
    Claim(
        name="small_plateaus_at_low_frequency",
        statement="Where an injected task is rare, a small model has more of its loss left than a "
        "large one of the same text loss.",
        source="Fig. 22",
        statistic="Share of the loss of guessing that is left, smallest minus largest size, at the "
        "lowest text loss that all sizes reach and the lowest frequency at which any size has "
        "less than half left at the end.",
        relation=">",
        threshold=0.1,
        compute=_small_plateaus,
        account="none",
        against="At the same text loss the small model has as little of a rare task's loss left "
        "as the large one.",
        bounds=(-1, 1),
    ),
    Claim(
        name="larger_wins_at_equal_compute_when_rare",
        statement="At equal compute a larger model has less of a rare task's loss left.",
        source="Fig. 23",
        statistic="Share of the loss of guessing that is left at the compute of the smaller size's "
        "end: smaller minus larger size, mean over neighbouring sizes, at the lowest frequency at "
        "which any size has less than half left at the end.",
        relation=">",
        threshold=0.0,
        compute=_equal_compute,
        account="none",
        against="With the same compute the smaller model has as little of the rare task's loss "
        "left.",
        bounds=(-1, 1),
    ),
    Claim(
        name="learns_text",
        statement="Every size learns more of natural text than the frequencies of its tokens.",
        source="our own check of the training",
        statistic="Unigram entropy of the corpus minus the final loss of held-out text in nats per "
        "token, the least over sizes and grid points.",
        relation=">=",
        threshold=0.5,
        compute=_text_learned,
        account="none",
        against="Some size knows little more of text than how often each token comes: what it "
        "does with tasks says nothing.",
        kind="check",
    ),
)
