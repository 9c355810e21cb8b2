"""Why does a narrow student end without a rare task that a wide one holds?

Two tasks share one stream: a common one, and a rare one with 2% of the rows. The same students are
trained on the same streams in four arms: the rare task comes evenly; in a burst every 50 steps; in
bursts, with the task protected from 20 steps after a burst on, so that nothing undoes what it
wrote; and never, the control.

    make quickstart
    python -m launch.study --config=configs/quickstart.py --workdir=runs/quickstart

Width 8 has no room for the task (Theorem 3): it ends with nothing of it in any arm. Widths 18 and
28 have room, and hold it where it comes evenly. In bursts width 18 ends with nothing and width 28
holds it. Protected, width 18 holds it too; that the rule only prevents forgetting is not shown, and
a burst also gives width 28 more. Once the task comes no more, width 18 has lost half of what it
held evenly some 30 steps before width 28.

Under 90 seconds on 2 CPU cores: 4 streams x 4 arms x 3 widths, 2400 steps, and 200 more without the
task. `configs/synthetic/forgetting.py` asks the same with more widths, gaps and optimizers.

The setting was tuned on other streams until the contrast was plain: it is an illustration, at one
learning rate of AdamW. In `configs/synthetic/forgetting.py` widths near 18 end with all of the task
or with nothing, and under plain gradient descent bursts cost widths that have learned it nothing.
"""

from rare_retention.evidence.arms import PROTECTED
from rare_retention.experiment import Exposure, Measurement, Run
from rare_retention.optimizer import Optimizer
from rare_retention.rules.protection import Protection
from rare_retention.settings.regression import Regression
from rare_retention.study.arm_axis import NOT_PROTECTED, axis, bursts, even, never
from rare_retention.study.branch import Branch, Change
from rare_retention.study.grid import Study
from rare_retention.tasks.regression import RegressionTasks

GAP, STEPS = 50, 2400
ARMS = (even(), *bursts(GAP, PROTECTED), never(GAP))
PRIOR = (0.98, 0.02)

NO_MORE = Branch(
    name="no more",
    at=STEPS - 1,  # just before a burst
    steps=200,
    changes=(
        Change(field="exposure.left_out", value=(-1,)),
        Change(field="measure.every", value=20),
    ),
)


def get_config() -> Study:
    """Three widths in four arms, and what is left once the task comes no more."""
    return Study(
        name="quickstart",
        question=__doc__,
        run=Run(
            setting=Regression(
                tasks=RegressionTasks(
                    inputs=64,
                    count=2,
                    block=32,
                    prior=PRIOR,
                    spectrum_exponents=(6.0, 1.5),
                ),
                widths=(8, 18, 28),
            ),
            exposure=Exposure(placement="even"),
            optimizer=Optimizer(peak=5e-3, schedule="constant"),
            rule=Protection(after=NOT_PROTECTED),
            batch=256,
            steps=STEPS - 1,
            measure=Measurement(every=STEPS // 2 - 1, cycles=6, effect=False),
        ),
        grid=(axis(ARMS, "setting.tasks.prior", PRIOR, PRIOR),),
        branches=(NO_MORE,),
        streams=4,
        figures=("arms", "injection", "branches"),
        claims=(
            "bursts_cost_small_more",
            "protection_closes_the_gap",
            "protection_gives_nothing_without_room",
        ),
    )
