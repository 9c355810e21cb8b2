"""Does training longer bring in what does not fit?

Figure 21 of the paper. Ten times longer training than in the phase diagram: tasks beyond a
student's capacity must stay at their baseline, however long the training.

    python -m launch.study --config=configs/synthetic/long_horizon.py:small --workdir=runs/horizon

The small setting takes one to two minutes on 2 CPU cores (3 streams x 5 widths, 40,000 steps), the
paper's perhaps a day on one accelerator, which nobody has tried.

Seen: tasks above capacity end below 0.001 of their signal on average and do not rise over the
second half. At widths 8 and 16 some hold a direction for the first 5000 to 10,000 steps and lose it
to a slightly more useful one.
"""

from typing import Literal

from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run
from rare_retention.optimizer import Optimizer
from rare_retention.settings.regression import Regression
from rare_retention.study.grid import Study
from rare_retention.tasks.regression import RegressionTasks


def get_config(size: Literal["paper", "small"] = "paper") -> Study:
    """Widths at one frequency exponent, for a million steps or for forty thousand."""
    paper = Run(
        setting=Regression(
            tasks=RegressionTasks(inputs=1024, count=32, block=32, prior_exponent=1.0),
            widths=(8, 16, 32, 64, 128, 256),
        ),
        exposure=Exposure(placement="iid"),
        optimizer=Optimizer(peak=2e-3, timescale=4000.0),
        batch=1024,
        steps=1_000_000,
        measure=Measurement(every=2000, effect=False),
        checkpoints=Checkpoints(every=20_000),
    )
    small = Run(
        setting=Regression(
            tasks=RegressionTasks(inputs=64, count=16, block=4, prior_exponent=1.0),
            widths=(2, 4, 8, 16, 32),
        ),
        exposure=Exposure(placement="iid"),
        optimizer=Optimizer(peak=1e-2, timescale=500.0),
        batch=128,
        steps=40_000,
        measure=Measurement(every=500, effect=False),
        checkpoints=Checkpoints(every=10_000),
    )
    return Study(
        name="long horizon",
        question=__doc__,
        run=paper if size == "paper" else small,
        streams=2 if size == "paper" else 3,
        figures=("long_horizon", "phase_diagram"),
        claims=("above_capacity_unlearned", "above_capacity_flat", "staircase"),
    )
