"""Does the k-th most frequent task need width k?

Figure 18 of the paper. Tasks of a single direction: the staircase is straight, N_crit(k) = k, so
task k must be learned by the first width of the grid that is at least k.

    python -m launch.study --config=configs/synthetic/rank_one.py:small --workdir=runs/rank_one

The small setting takes about a minute on 2 CPU cores, most of it compilation: 3 streams x 9 widths,
4000 steps.

Seen: all 16 tasks on all streams are learned first by the predicted width of the grid; at width 12
tasks 12, 13 and 14, whose frequencies fall by 15% and 14%, still share a direction after 4000
steps. At the paper's size, one stream (five minutes on an H200), 61 of 64 tasks.
"""

from typing import Literal

from rare_retention.experiment import Exposure, Measurement, Run
from rare_retention.optimizer import Optimizer
from rare_retention.settings.regression import Regression
from rare_retention.study.grid import Study
from rare_retention.tasks.regression import RegressionTasks


def get_config(size: Literal["paper", "small"] = "paper") -> Study:
    """Seventeen widths from 1 to 64, or nine from 1 to 16."""
    paper = Run(
        setting=Regression(
            tasks=RegressionTasks(inputs=1024, count=64, block=1, prior_exponent=2.0),
            widths=(1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64),
        ),
        exposure=Exposure(placement="iid"),
        optimizer=Optimizer(peak=2e-3, timescale=4000.0),
        batch=1024,
        steps=100_000,
        measure=Measurement(every=500),
    )
    small = Run(
        setting=Regression(
            tasks=RegressionTasks(inputs=64, count=16, block=1, prior_exponent=2.0),
            widths=(1, 2, 3, 4, 6, 8, 10, 12, 16),
        ),
        exposure=Exposure(placement="iid"),
        optimizer=Optimizer(peak=1e-2, timescale=500.0),
        batch=256,
        steps=4000,
        measure=Measurement(every=500, effect=False),
    )
    return Study(
        name="tasks of rank one",
        question=__doc__,
        run=paper if size == "paper" else small,
        streams=3,
        figures=("rank_one", "phase_diagram"),
        claims=("rank_one_staircase", "above_capacity_unlearned"),
    )
