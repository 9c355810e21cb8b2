"""The figures of a study, each a function of its results alone.

A new figure is a function `(results: xr.Dataset) -> Figure` in a file of its own and an entry of
`FIGURES`.
"""

import difflib
from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

import xarray as xr
from matplotlib.figure import Figure

from rare_retention.errors import ConfigError
from rare_retention.report.figures import (
    arms,
    branches,
    causal,
    competition,
    complexity,
    fourier,
    gap_width,
    gradient_cosines,
    horizon,
    injection,
    injection_gap,
    interference,
    interference_by_block,
    learning_curves,
    loss_change,
    parity,
    phase,
    prediction,
    probe,
    rank_one,
    residual,
    scaling,
    size_frequency,
    task_compute,
    task_text,
)

__all__ = ["FIGURES", "FROM_SNAPSHOTS", "FigureSpec", "select"]


class FigureSpec(NamedTuple):
    """A figure that a study can ask for.

    Attributes:
        draw: makes it from a study's results.
        caption: what is drawn, in one sentence; what it means is the verdicts' business.
        paper: the paper's figures that it reproduces; empty where it is our own.
        needs: variables and coordinates that the results must have; "a or b" is either.
        claims: names of the claims whose verdicts stand beside it.
        branches: whether it draws the branches of a study; others draw its trunk alone.
    """

    draw: Callable[[xr.Dataset], Figure]
    caption: str
    paper: tuple[str, ...]
    needs: tuple[str, ...]
    claims: tuple[str, ...]
    branches: bool = False


_MIXTURE = ("loss", "frequency", "spectrum")
_INJECTED = ("loss", "frequency", "chance")
_LEARNED = "signal or chance"  # what says how much of a task is learned

FIGURES: dict[str, FigureSpec] = {
    "phase_diagram": FigureSpec(
        phase.phase_diagram,
        "Share of the baseline loss that is left of each task at the end, by task and width, "
        "and the widths of Theorem 3's staircases.",
        ("2a", "13", "17"),
        _MIXTURE,
        ("staircase", "above_capacity_unlearned"),
    ),
    "observed_vs_predicted": FigureSpec(
        prediction.observed_vs_predicted,
        "Final loss of every task at every width over the loss that Theorem 3 gives it; where "
        "utilities tie, the nearest optimum.",
        ("2b", "14"),
        ("signal", *_MIXTURE),
        ("prediction",),
    ),
    "residual_axis": FigureSpec(
        residual.residual_axis,
        "Final signals of the rare task and of the most frequent ones over the residual of "
        "the common tasks, with the critical residual as a line.",
        ("3", "15", "19"),
        ("signal", "residual", "watch", *_MIXTURE),
        ("rare_signal_right_of_line", "rare_signal_left_of_line"),
    ),
    "injection": FigureSpec(
        injection.injection,
        "What is learned of the rare task over the whole run and around one injection, by size.",
        ("4a", "16a", "20"),
        (_LEARNED, "loss", "watch", "exposure_step"),
        (
            "wide_accumulates",
            "peak_lags_exposure",
            "retention_factor_grows_with_size",
            "small_loses_most_in_a_gap",
        ),
    ),
    "arms": FigureSpec(
        arms.arms,
        "What is held of the rare task by size where it is shown evenly, in bursts, and in bursts "
        "with it protected or fuller ones; share of what each size lacks beside the largest "
        "that is given back.",
        ("4b",),
        (_LEARNED, "loss", "frequency", "watch", "exposure_step", "arm"),
        (
            "bursts_cost_small_more",
            "protection_closes_the_gap",
            "holding_still_closes_the_gap",
            "larger_bursts_close_little",
            "forgetting_outweighs_gains",
            "protection_gives_nothing_without_room",
            "larger_gains_more",
            "larger_keeps_more_between_bursts",
            "protecting_another_gives_nothing",
            "holding_still_teaches_nothing",
        ),
    ),
    "branches": FigureSpec(
        branches.branches,
        "Raw level of the rare task by the steps since each branch went on from its run, by size.",
        (),
        (_LEARNED, "loss", "frequency", "watch", "turn"),
        (
            "larger_forgets_slower",
            "larger_forgets_slower_once_known",
            "savings_grow_with_size",
            "protection_keeps_the_level",
            "protection_of_another_changes_nothing",
        ),
        branches=True,
    ),
    "loss_change": FigureSpec(
        loss_change.loss_change,
        "Change of the rare task's loss since just before an exposure; gain, retention factor "
        "and half-life by size.",
        ("8",),
        (_LEARNED, "loss", "watch", "exposure_step", "exposure_count"),
        (
            "retention_factor_grows_with_size",
            "small_loses_most_in_a_gap",
            "larger_keeps_more_at_matched_gain",
            "wide_accumulates",
            "peak_lags_exposure",
        ),
    ),
    "gradient_cosines": FigureSpec(
        gradient_cosines.gradient_cosines,
        "Cosines of parts of a batch's gradient with that of the task's reference loss: at "
        "exposures, between them and over a cycle, by size.",
        ("9",),
        ("gram", "block_weights", "loss", "watch", "exposure_step"),
        ("injection_gradient_points_to_the_task", "rest_interferes_less_in_large"),
    ),
    "gap_width": FigureSpec(
        gap_width.gap_width,
        "Late rare and most frequent signal, and the cosine of their gradients, over the gap, "
        "by width.",
        ("4b", "16b"),
        ("signal", "watch", "cosine", "gap", "exposure_step", *_MIXTURE),
        (
            "gap_lowers_rare_signal",
            "gap_costs_narrow_more",
            "gap_costs_adamw_more",
            "frequent_signal_ignores_gap",
            "cosine_shrinks_with_width",
        ),
    ),
    "competition": FigureSpec(
        competition.competition,
        "Alignment of the best neuron with the direction of each task over training, for one "
        "neuron and for two.",
        ("11",),
        ("alignment", "loss", "frequency"),
        ("one_neuron_is_pulled_back", "two_neurons_learn_both"),
    ),
    "parity": FigureSpec(
        parity.parity,
        "Accuracy of each subtask at the end, the step at which it is learned and the rows of "
        "its own until then, over its frequency, by width.",
        (),
        ("accuracy", "loss", "frequency", "step_rows"),
        (
            "parities_learned_by_frequency",
            "rarer_parity_needs_more_own_rows",
            "wider_learns_more_parities",
        ),
    ),
    "complexity": FigureSpec(
        complexity.complexity,
        "Captured share of each task for each spectrum, as seen and as predicted.",
        ("12", "13", "14", "15", "16"),
        ("signal", *_MIXTURE),
        ("complexity_prediction", "complexity_inversion"),
    ),
    "rank_one": FigureSpec(
        rank_one.rank_one,
        "First width of the grid at which each task of a single direction is learned, beside "
        "the first width that is at least its number.",
        ("18",),
        ("signal", *_MIXTURE),
        ("rank_one_staircase",),
    ),
    "long_horizon": FigureSpec(
        horizon.long_horizon,
        "Normalised loss of every task over a long training, by size.",
        ("21",),
        _MIXTURE,
        ("above_capacity_unlearned", "above_capacity_flat"),
    ),
    "interference": FigureSpec(
        interference.interference,
        "Measured changes of the rare loss over those predicted to first order, and the "
        "common gradient over its bound.",
        (),
        ("reference", "predicted_change", "basis_gradient", "basis_bound", *_MIXTURE),
        ("common_gradient_bound", "first_order_change"),
    ),
    "interference_by_block": FigureSpec(
        interference_by_block.interference_by_block,
        "First- and second-order change of the rare task's loss by the updates between its "
        "exposures, by block of weights and size, and their sums beside the measured change.",
        (),
        (
            *("interference_first", "interference_second", "reference", "loss"),
            *("block", "watch", "exposure_step"),
        ),
        ("two_orders_explain_changes",),
    ),
    "size_frequency": FigureSpec(
        size_frequency.size_frequency,
        "Final loss on the training half and accuracy on the test half of an injected task "
        "over its frequency, by size.",
        ("5",),
        ("test_accuracy", "per_token", *_INJECTED),
        ("larger_learns_rarer",),
    ),
    "learning_curves": FigureSpec(
        learning_curves.learning_curves,
        "Loss of injected tasks over training, by frequency and size, with natural prompts "
        "where the corpus has them.",
        ("6a",),
        ("per_token", "step_tokens", *_INJECTED),
        ("frequency_orders_learning",),
    ),
    "injection_gap": FigureSpec(
        injection_gap.injection_gap,
        "Late loss of an injected task on both halves over the gap between injections at one "
        "long-run frequency, by size.",
        ("6b",),
        ("test_loss", "gap", "exposure_step", *_INJECTED),
        ("gap_raises_task_loss",),
    ),
    "task_text": FigureSpec(
        task_text.task_text,
        "Loss of an injected task over the loss of the text, by size and frequency.",
        ("22",),
        _INJECTED,
        ("same_curve_at_high_frequency", "small_plateaus_at_low_frequency", "learns_text"),
    ),
    "task_compute": FigureSpec(
        task_compute.task_compute,
        "Loss of an injected task over training compute, with its frontier over sizes, by "
        "frequency.",
        ("23",),
        ("step_tokens", *_INJECTED),
        ("larger_wins_at_equal_compute_when_rare",),
    ),
    "probe_r2": FigureSpec(
        probe.probe_r2,
        "R^2 of a linear probe for a symbol's value in the residual stream, by size and frequency.",
        ("7a",),
        ("r2", "r2_in_sample", *_INJECTED),
        ("r2_grows_with_size",),
    ),
    "fourier_modes": FigureSpec(
        fourier.fourier_modes,
        "Number of Fourier modes of the sum in each layer, beside that of symbols with random "
        "values, by size and frequency.",
        ("7b",),
        ("modes", "modes_by_chance", *_INJECTED),
        ("modes_grow_with_frequency",),
    ),
    "alignment": FigureSpec(
        causal.alignment,
        "Share of interchange interventions that succeed in a learned subspace, beside a "
        "random one and the whole stream, by size.",
        (),
        ("alignment", "alignment_random", "alignment_whole", *_INJECTED),
        ("value_is_causal",),
    ),
    "null_intervention": FigureSpec(
        causal.null_intervention,
        "Change of the labels' scores without each MLP layer, by size.",
        ("10",),
        ("null_effect", *_INJECTED),
        ("first_layer_is_most_causal",),
    ),
    "scaling_law": FigureSpec(
        scaling.scaling_law,
        "Loss over compute, with the fitted law's limit for each size and the loss at which "
        "it is compute-optimal.",
        ("1",),
        ("loss", "unigram_entropy", "step_tokens"),
        (),
    ),
}

OF_SNAPSHOTS = ("probe_r2", "fourier_modes", "alignment", "null_intervention")
"""Figures of what `launch.evidence` adds to the results of a study after it has run."""

FROM_SNAPSHOTS = frozenset(
    need for name in OF_SNAPSHOTS for need in FIGURES[name].needs if need not in _INJECTED
)
"""Variables that these need."""


def select(names: Sequence[str], results: Container[object] | None = None) -> dict[str, FigureSpec]:
    """The figures of these names, in their order.

    Args:
        names: keys of `FIGURES`.
        results: of the study, or the names that they will hold: what a figure needs must be there;
            None checks the names alone.

    Raises:
        ConfigError: there is no such figure, or the results cannot be drawn so.
    """
    for i, name in enumerate(names):
        if name not in FIGURES:
            near = difflib.get_close_matches(name, FIGURES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FIGURES)}"
            raise ConfigError(f"figures[{i}]", f"no figure {name!r}: {hint}")
        if lacking := [] if results is None else _lacking(FIGURES[name], results):
            raise ConfigError(
                f"figures[{i}]", f"{name} needs {', '.join(lacking)}, which this study lacks"
            )
    return {name: FIGURES[name] for name in names}


def _lacking(figure: FigureSpec, results: Container[object]) -> list[str]:
    """What a figure needs and the results do not hold."""
    return [n for n in figure.needs if not any(part in results for part in n.split(" or "))]
