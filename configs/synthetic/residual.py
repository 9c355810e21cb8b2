"""When does the rare task appear?

Figures 3, 15, 19 of the paper. Proposition 6 puts it on the axis of the common tasks' residual
delta_F: to the right of delta*_F(N_r^crit) common gradients still overwrite the rare direction, to
the left of it they have faded. Theorem 4's bound on the common gradient is measured beside the
gradient it bounds.

    python -m launch.study --config=configs/synthetic/residual.py:small --workdir=runs/residual
    python -m launch.study --config=configs/synthetic/residual.py:complexity --workdir=runs/complex

The complexity setting is the paper's with tasks of equal and of unequal complexity, the most
frequent one the simplest (Fig. 15). It has not been run yet.

The small setting takes about two minutes on 2 CPU cores: 3 streams x 9 widths, 5000 steps. Its
inputs are more than the tasks' 72 directions, so that a random encoder of width 48 holds a quarter
of a task and not two thirds.

Seen: widths 4 to 24 end right of the line and hold at most 0.01 of the rarest task on average;
width 28 holds 0.24, 32 and 40 hold 0.65, 48 holds 0.82. N_r^crit is 15 and Theorem 3's first width
for the rare task 25 to 29: the line parts the same widths as the theorem, but for 28. The bound of
Theorem 4 falls twentyfold from width 4 to 48, the gradient that it bounds by less than half. At the
paper's size, one stream (five minutes on an H200): widths up to 112 are right of the line and hold
nothing, from 128 on they hold more than half; Theorem 3's first width is 114 to 119.
"""

from typing import Literal

from rare_retention.experiment import Exposure, Measurement, Run
from rare_retention.optimizer import Optimizer
from rare_retention.settings.regression import Regression
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study
from rare_retention.tasks.regression import RegressionTasks

# Exponents of the rarest and of the most frequent task.
SPECTRA = ((2.0, 2.0), (1.8, 2.2), (1.5, 3.0))


def get_config(size: Literal["paper", "small", "complexity"] = "paper") -> Study:
    """A fine ladder of widths at the steepest prior, beta = 2."""
    paper = Run(
        setting=Regression(
            tasks=RegressionTasks(inputs=1024, count=32, block=32, prior_exponent=2.0),
            widths=(8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256),
        ),
        exposure=Exposure(placement="iid"),
        optimizer=Optimizer(peak=2e-3, timescale=4000.0),
        batch=1024,
        steps=100_000,
        measure=Measurement(every=500),
    )
    small = Run(
        setting=Regression(
            tasks=RegressionTasks(inputs=192, count=12, block=6, prior_exponent=2.0),
            widths=(4, 8, 16, 20, 24, 28, 32, 40, 48),
        ),
        exposure=Exposure(placement="iid"),
        optimizer=Optimizer(peak=1e-2, timescale=500.0),
        batch=512,
        steps=5000,
        measure=Measurement(every=250),
    )
    return Study(
        name="rare signal against the common residual",
        question=__doc__,
        run=small if size == "small" else paper,
        grid=(Axis(field="setting.tasks.spectrum_exponents", values=SPECTRA),)
        if size == "complexity"
        else (),
        streams=3,
        figures=("residual_axis", "interference", "observed_vs_predicted"),
        claims=(
            "rare_signal_right_of_line",
            "rare_signal_left_of_line",
            "prediction",
            "common_gradient_bound",
            "first_order_change",
        ),
    )
