"""Does a larger language model learn a rare task that a smaller one does not, and keep it longer?

Two OLMo models, of 25 and 197 thousand parameters, train side by side on the sources of Python's
standard library. Instances of the comparison task replace the first tokens of some sequences: 16 of
each batch's 64, or 4. Where it is frequent both learn the half they are trained on; where it is
rare the larger one's loss falls below guessing (Fig. 5) and the smaller one's does not, though it
knows part of the answer. From the last state text goes on without the task for 800 steps: how long
does each keep what it has?

    python -m launch.study --config=configs/quickstart_lm.py --workdir=runs/quickstart_lm

A quarter of an hour on 2 CPU cores, and no download: 2 frequencies x 3 streams x 2 sizes, 2000
steps of 2048 tokens, and 800 more.

Tuned until the contrast was plain: short sequences show more instances at the same cost, 16 symbols
make 128 pairs to train on, and a peak of 0.01 suits models this small (3e-3 is slower at
everything). With 32 symbols, at a quarter of the frequency, neither model gets there in 2000 steps.
"""

from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run, Snapshots
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import olmo
from rare_retention.settings.language import Language
from rare_retention.study.axes import Axis
from rare_retention.study.branch import Branch, Change
from rare_retention.study.grid import Study
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import Corpus

BATCH, WINDOW, STEPS = 64, 32, 2000
FREQUENT, RARE = 16 / (BATCH * WINDOW), 4 / (BATCH * WINDOW)  # instances per token

NO_MORE = Branch(
    name="no more",
    at=STEPS,
    steps=800,
    changes=(
        Change(field="exposure.left_out", value=(-1,)),
        Change(field="measure.every", value=40),
        Change(field="snapshots.every", value=0),
    ),
)


def get_config() -> Study:
    """Two sizes x two frequencies, and what is left once the task comes no more."""
    return Study(
        name="quickstart of the language models",
        question=__doc__,
        run=Run(
            setting=Language(
                corpus=Corpus(vocabulary=512, held_out=128),
                window=WINDOW,
                tasks=(
                    Comparison(per_token=FREQUENT, symbols=16),
                    Comparison(per_token=0, symbols=16),  # never shown: what is 0
                ),
                watch=(1, 2),
                sizes=("tiny-16", "tiny-64"),
                compute=Compute(remat="full"),  # on a CPU the fastest: less to write and read
            ),
            exposure=Exposure(placement="even"),
            optimizer=olmo(STEPS, peak=1e-2, from_zero=True),
            batch=BATCH,
            steps=STEPS,
            measure=Measurement(every=100, effect=False),
            snapshots=Snapshots(every=500),
            checkpoints=Checkpoints(every=500),
        ),
        grid=(Axis(field="setting.tasks[0].per_token", values=(FREQUENT, RARE)),),
        branches=(NO_MORE,),
        streams=3,
        figures=("size_frequency", "learning_curves", "branches", "task_text", "task_compute"),
        claims=(
            "larger_learns_rarer",
            "frequency_orders_learning",
            "larger_forgets_slower",
            "learns_text",
        ),
    )
