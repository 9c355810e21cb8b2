"""Does a wide student keep what a narrow one forgets?

Figures 4a, 4b, 16, 20 of the paper. Matched-frequency injection: the rarest task is withheld for G
- 1 steps and then shown all at once, so that its long-run frequency is the same for every gap G. In
the paper narrow students lose before the next injection what one gave; wide ones accumulate. The
same runs with the rare task left out are the control: what a student has of it beyond that is what
it can keep or lose.

    python -m launch.study --config=configs/synthetic/retention.py:small --workdir=runs/retention
    python -m launch.study --config=configs/synthetic/retention.py:complexity --workdir=runs/complex

The complexity setting is the paper's at a gap of 64, with tasks of equal and of unequal
complexity, the most frequent one the simplest (Fig. 16). It and the paper's size have not been run
yet.

The small setting has 5 streams x 4 gaps x 6 students of 6000 steps, and as many in the control. It
takes two to three minutes on 2 CPU cores. It is the injection study's pair of tasks, in which an
injection fills the batch at the longest gap. By Theorem 3 the rare task needs width 5: width 3 has
no room for it, width 6 barely, width 12 plenty.

Seen: the factor that a gap leaves of what is held above the control falls from 0.96 to 0.43 at
width 6 from gap 50 to 400, and from 0.96 to 0.87 at width 12; width 3 holds nothing. By the loss it
is the other way round: it rises most at width 12. The frequent signal does not move. First-order
effects miss 29% of the changes of the rare loss; with curvature along the updates 99.4% of the
changes between exposures are explained.
"""

from typing import Literal

from rare_retention.experiment import Exposure, Measurement, Run, Snapshots
from rare_retention.instruments.block_effects import Interference
from rare_retention.optimizer import Optimizer
from rare_retention.settings.regression import Regression
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study
from rare_retention.tasks.regression import RegressionTasks

RARE = 0.97 / 400  # at the longest gap of the small setting an injection is 248 of the 256 rows


# Exponents of the rarest and of the most frequent task.
SPECTRA = ((2.0, 2.0), (1.8, 2.2), (1.5, 3.0))


def get_config(size: Literal["paper", "small", "complexity"] = "paper") -> Study:
    """Gaps x widths at beta = 2."""
    paper = Run(
        setting=Regression(
            tasks=RegressionTasks(inputs=1024, count=32, block=32, prior_exponent=2.0),
            widths=(32, 96, 128, 192, 256),
        ),
        exposure=Exposure(placement="burst", gap=64),
        optimizer=Optimizer(peak=2e-3, timescale=4000.0),
        batch=512,
        steps=40_000,
        measure=Measurement(every=500, cycles=20),
        snapshots=Snapshots(cycles=2),
    )
    small = Run(
        setting=Regression(
            tasks=RegressionTasks(
                inputs=48, count=2, block=6, prior=(1 - RARE, RARE), spectrum_exponents=(4.0, 4.0)
            ),
            widths=(3, 6, 12),
            initialisations=2,
        ),
        exposure=Exposure(placement="burst", gap=50),
        optimizer=Optimizer(peak=0.014, schedule="constant"),
        batch=256,
        steps=6000,
        measure=Measurement(every=200, cycles=12, instruments=(Interference(),)),
        snapshots=Snapshots(cycles=2),
    )
    gaps = (50, 100, 200, 400) if size == "small" else (64, 128, 256, 512, 1024, 1280)
    varied = Axis(field="exposure.gap", values=gaps)
    if size == "complexity":
        varied = Axis(field="setting.tasks.spectrum_exponents", values=SPECTRA)
    return Study(
        name="retention between injections",
        question=__doc__,
        run=small if size == "small" else paper,
        grid=(
            varied,
            Axis(field="exposure.left_out", values=((), (-1,))),
        ),
        streams=5 if size == "small" else 3,
        figures=("injection", "gap_width", "interference", "interference_by_block"),
        claims=(
            "gap_lowers_rare_signal",
            "gap_costs_narrow_more",
            "frequent_signal_ignores_gap",
            "retention_factor_grows_with_size",
            "small_loses_most_in_a_gap",
            "wide_accumulates",
            "peak_lags_exposure",
            "cosine_shrinks_with_width",
            "common_gradient_bound",
            "first_order_change",
            "two_orders_explain_changes",
        ),
    )
