"""Does a wide student keep a rare task that a narrow one forgets?"""

from rare_retention.experiment import Exposure, Measurement, Run, Snapshots
from rare_retention.settings.regression import Regression
from rare_retention.study.grid import Axis, Study
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.train.optimizer import Optimizer


def get_config() -> Study:
    """Two widths, bursts of the rarest of eight tasks."""
    return Study(
        name="quickstart",
        question=__doc__,
        run=Run(
            setting=Regression(
                tasks=RegressionTasks(inputs=64, count=8, block=8, prior_exponent=2.0),
                widths=(8, 48),
            ),
            exposure=Exposure(placement="burst", gap=64, background="even"),
            optimizer=Optimizer(peak=1e-2, timescale=1000.0),
            batch=128,
            steps=2048,
            measure=Measurement(every=256, cycles=4),
            snapshots=Snapshots(cycles=1),
        ),
        streams=1,
    )
