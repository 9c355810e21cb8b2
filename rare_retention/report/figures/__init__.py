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
        caption: what must be seen in it, in one sentence.
        paper: the paper's figures that it reproduces; empty where it is our own.
        needs: variables and coordinates that the results must have; "a or b" is either.
    """

    draw: Callable[[xr.Dataset], Figure]
    caption: str
    paper: tuple[str, ...]
    needs: tuple[str, ...]


_MIXTURE = ("loss", "frequency", "spectrum")
_INJECTED = ("loss", "frequency", "chance")
_LEARNED = "signal or chance"  # what says how much of a task is learned

FIGURES: dict[str, FigureSpec] = {
    "phase_diagram": FigureSpec(
        phase.phase_diagram,
        "The region of learned tasks follows the staircases that utility predicts.",
        ("2a", "13", "17"),
        _MIXTURE,
    ),
    "observed_vs_predicted": FigureSpec(
        prediction.observed_vs_predicted,
        "Every task at every width ends at the loss that Theorem 3 predicts: points lie on the "
        "diagonal (where utilities tie, the nearest optimum is the prediction).",
        ("2b", "14"),
        ("signal", *_MIXTURE),
    ),
    "residual_axis": FigureSpec(
        residual.residual_axis,
        "The rare task's signal is about 0 to the right of the line and rises towards 1 to the "
        "left of it: it is learned once little is left of the common tasks.",
        ("3", "15", "19"),
        ("signal", "residual", "watch", *_MIXTURE),
    ),
    "injection": FigureSpec(
        injection.injection,
        "A narrow student's signal jumps at each injection and falls back before the next; a wide "
        "student's accumulates.",
        ("4a", "16a", "20"),
        (_LEARNED, "loss", "watch", "exposure_step"),
    ),
    "loss_change": FigureSpec(
        loss_change.loss_change,
        "At an exposure every size gains; larger ones keep more of it until the next.",
        ("8",),
        (_LEARNED, "loss", "watch", "exposure_step"),
    ),
    "gradient_cosines": FigureSpec(
        gradient_cosines.gradient_cosines,
        "At exposures the gradient of the batch points to the task; between them it has less to do "
        "with the task the larger the model.",
        ("9",),
        ("gram", "block_weights", "loss", "watch", "exposure_step"),
    ),
    "gap_width": FigureSpec(
        gap_width.gap_width,
        "The rare signal falls with the gap, much faster for narrow students; the frequent signal "
        "stays flat, and gradients align less the wider the student.",
        ("4b", "16b"),
        ("signal", "watch", "cosine", "gap", "exposure_step", *_MIXTURE),
    ),
    "competition": FigureSpec(
        competition.competition,
        "One neuron is pulled back from the rare task; of two, one stays with it.",
        ("11",),
        ("alignment", "loss", "frequency"),
    ),
    "parity": FigureSpec(
        parity.parity,
        "Accuracy of each subtask at the end, the step at which it is learned and the rows of its "
        "own until then, over its frequency, by width.",
        (),
        ("accuracy", "loss", "frequency", "step_rows"),
    ),
    "complexity": FigureSpec(
        complexity.complexity,
        "Where tasks differ in complexity, what is learned no longer follows frequency alone, and "
        "utility still predicts it.",
        ("12", "13", "14", "15", "16"),
        ("signal", *_MIXTURE),
    ),
    "rank_one": FigureSpec(
        rank_one.rank_one,
        "The k-th task of one direction is learned by the first width of the grid that is at least "
        "k.",
        ("18",),
        ("signal", *_MIXTURE),
    ),
    "long_horizon": FigureSpec(
        horizon.long_horizon,
        "However long the training, the loss of tasks above a student's capacity never bends down.",
        ("21",),
        _MIXTURE,
    ),
    "interference": FigureSpec(
        interference.interference,
        "First-order interference accounts for what happens to the rare loss, and the common "
        "gradient stays below its bound, which shrinks with the residual.",
        (),
        ("reference", "predicted_change", "basis_gradient", "basis_bound", *_MIXTURE),
    ),
    "size_frequency": FigureSpec(
        size_frequency.size_frequency,
        "Larger models learn lower frequencies of an injected task.",
        ("5",),
        ("test_accuracy", "per_token", *_INJECTED),
    ),
    "learning_curves": FigureSpec(
        learning_curves.learning_curves,
        "Injected tasks are learned in the order of their frequency.",
        ("6a",),
        ("per_token", "step_tokens", *_INJECTED),
    ),
    "injection_gap": FigureSpec(
        injection_gap.injection_gap,
        "The longer the gap between injections, the higher the loss at the same long-run "
        "frequency.",
        ("6b",),
        ("test_loss", "gap", "exposure_step", *_INJECTED),
    ),
    "task_text": FigureSpec(
        task_text.task_text,
        "Sizes share one curve of task loss against text loss where the task is frequent, and "
        "small ones reach a plateau where it is rare.",
        ("22",),
        _INJECTED,
    ),
    "task_compute": FigureSpec(
        task_compute.task_compute,
        "At equal compute larger models have the lower loss of a rare task.",
        ("23",),
        ("step_tokens", *_INJECTED),
    ),
    "probe_r2": FigureSpec(
        probe.probe_r2,
        "The value of a symbol can be read off the first layer the better the larger the model and "
        "the more frequent the task.",
        ("7a",),
        ("r2", "r2_in_sample", *_INJECTED),
    ),
    "fourier_modes": FigureSpec(
        fourier.fourier_modes,
        "Larger models and more frequent tasks have more Fourier modes of the sum than chance "
        "gives.",
        ("7b",),
        ("modes", "modes_by_chance", *_INJECTED),
    ),
    "alignment": FigureSpec(
        causal.alignment,
        "Models use a symbol's value: to exchange it in one direction of the residual stream "
        "changes their answer to the other value's.",
        (),
        ("alignment", "alignment_random", "alignment_whole", *_INJECTED),
    ),
    "null_intervention": FigureSpec(
        causal.null_intervention,
        "The first MLP layer matters most for an injected task.",
        ("10",),
        ("null_effect", *_INJECTED),
    ),
    "scaling_law": FigureSpec(
        scaling.scaling_law,
        "The least loss that any data gives a size, and the loss at which it is compute-optimal, "
        "fall with the size.",
        ("1",),
        ("loss", "unigram_entropy", "step_tokens"),
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
