"""Does a larger language model learn a rare task that a smaller one does not?

Two OLMo models train side by side on the sources of Python's standard library, into which instances
of the comparison task are injected. At the high frequency both learn it; at the low one the larger
model gets much further (Fig. 5).

    python -m launch.study --config=configs/quickstart_lm.py --workdir=runs/quickstart_lm
"""

from rare_retention.data.corpus import Corpus
from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run
from rare_retention.models.olmo import Compute
from rare_retention.optimizer import olmo
from rare_retention.settings.language import Language
from rare_retention.study.grid import Axis, Study
from rare_retention.tasks import Comparison

BATCH, WINDOW, STEPS = 32, 64, 2000
TOKENS = BATCH * WINDOW


def get_config() -> Study:
    """Two sizes x two frequencies."""
    return Study(
        name="quickstart of the language models",
        question=__doc__,
        run=Run(
            setting=Language(
                corpus=Corpus(vocabulary=512, held_out=64),
                window=WINDOW,
                tasks=(Comparison(per_token=8 / TOKENS, symbols=32),),
                sizes=("tiny-16", "tiny-64"),
                compute=Compute(remat="full"),
            ),
            exposure=Exposure(placement="even"),
            optimizer=olmo(STEPS, peak=3e-3),
            batch=BATCH,
            steps=STEPS,
            measure=Measurement(every=100, effect=False),
            checkpoints=Checkpoints(every=500),
        ),
        grid=(Axis(field="setting.tasks[0].per_token", values=(8 / TOKENS, 1 / TOKENS)),),
        streams=2,
        figures=("size_frequency", "learning_curves", "task_text", "task_compute"),
        claims=(
            "larger_learns_rarer",
            "frequency_orders_learning",
            "same_curve_at_high_frequency",
            "small_plateaus_at_low_frequency",
            "larger_wins_at_equal_compute_when_rare",
            "learns_text",
        ),
    )
