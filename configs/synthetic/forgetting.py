"""Is what a small student lacks of a rare task forgotten, or never learned?

Three accounts say why a larger student ends with more of a rare task: its optimum has room for it,
it gains more at each exposure, or it loses less until the next. The same students are trained on
the same streams in four arms: as they are; with the task protected in its gaps, so that nothing can
undo it; and both with the task left out, the control. The task's first feature has the 14th largest
utility: widths 18 and 28 have room for it, width 10 has none.

    python -m launch.study --config=configs/synthetic/forgetting.py --workdir=runs/forgetting

About 3 minutes on 2 cores. On 8 streams width 18 ends at 0.002 of the task's signal and width 28 at
0.95; with the task protected they end at 0.96 and 0.97, so that protection gives back all of the
gap. Width 10 ends at 0.001, and at 0.19 with protection. The width that forgets never rises high
enough above its control for a retention factor: the second claim is not tested.
"""

from rare_retention.experiment import Exposure, Measurement, Run
from rare_retention.optimizer import Optimizer
from rare_retention.rules.protection import Protection
from rare_retention.settings.regression import Regression
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study
from rare_retention.tasks.regression import RegressionTasks

PROTECTED, BARE = 20, 10**6  # steps from an exposure to the first protected one; a run has fewer


def get_config() -> Study:
    """Three widths in four arms."""
    return Study(
        name="forgetting, with its control",
        question=__doc__,
        run=Run(
            setting=Regression(
                tasks=RegressionTasks(
                    inputs=64,
                    count=2,
                    block=32,
                    prior=(0.98, 0.02),
                    spectrum_exponents=(6.0, 1.5),
                ),
                widths=(10, 18, 28),
            ),
            exposure=Exposure(placement="burst", gap=50),
            optimizer=Optimizer(peak=5e-3, schedule="constant"),
            rule=Protection(after=PROTECTED),
            batch=256,
            steps=3500,
            measure=Measurement(every=250, cycles=12, effect=False),
        ),
        grid=(
            Axis(field="rule.after", values=(BARE, PROTECTED), dimension="protected_after"),
            Axis(field="exposure.left_out", values=((), (-1,))),
        ),
        streams=8,
        figures=("injection",),
        claims=("protection_closes_the_gap", "retention_factor_grows_with_size"),
    )
