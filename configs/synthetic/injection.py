"""What does one injection of a rare task write, and what is left of it before the next?

Fig. 4a of the paper, at the smallest size. Two tasks share one stream: a common one, and a rare one
with 0.24% of the rows. The rare task is withheld for 399 steps and then fills one batch. A student
of width 3 gains it at every injection and has lost it before the next, because the common task's
gradients take its directions back. A student of width 12 accumulates it.

By Theorem 3 the rare task needs width 5: the narrow student has no room for it, and the contrast is
one of capacity. So no claim on retention is judged here: `configs/synthetic/forgetting.py` and
`retention.py` compare students that have room, and hold them against a control.

    python -m launch.study --config=configs/synthetic/injection.py --workdir=runs/injection

Under a minute of training on 2 CPU cores: 6 streams x 2 widths x 2 initialisations, 6000 steps.
Streams differ in their initial weights too; with three of them the claim on what the wide student
builds up was inconclusive, so there are six.

The setting was tuned until the contrast was plain. A steep spectrum puts the rare task into one
direction, so that its signal is that direction; a burst that fills its batch and a gap over which
Adam's second moment of the rare decoder decays make the gain large; a constant learning rate keeps
late injections comparable with early ones.
"""

from rare_retention.experiment import Exposure, Measurement, Run, Snapshots
from rare_retention.optimizer import Optimizer
from rare_retention.settings.regression import Regression
from rare_retention.study.grid import Study
from rare_retention.tasks.regression import RegressionTasks

GAP = 400
RARE = 0.97 / GAP  # an injection of 248 of the 256 rows


def get_config() -> Study:
    """A narrow and a wide student, and bursts of the rare one of two tasks."""
    return Study(
        name="injection",
        question=__doc__,
        run=Run(
            setting=Regression(
                tasks=RegressionTasks(
                    inputs=48,
                    count=2,
                    block=6,
                    prior=(1 - RARE, RARE),
                    spectrum_exponents=(4.0, 4.0),
                ),
                widths=(3, 12),
                initialisations=2,
            ),
            exposure=Exposure(placement="burst", gap=GAP),
            optimizer=Optimizer(peak=0.014, schedule="constant"),
            batch=256,
            steps=6000,
            measure=Measurement(every=200, cycles=15),
            snapshots=Snapshots(cycles=2),
        ),
        streams=6,
        figures=("injection", "interference"),
        claims=(
            "wide_accumulates",
            "peak_lags_exposure",
            "common_gradient_bound",
        ),
    )
