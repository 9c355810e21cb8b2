"""Is there a scaling law of the text's loss, and one of a rare task's?

Figure 1 of the paper and its Sec. 2: L(N, D) = L0 + A / N^alpha + B / D^beta, fitted to the ends of
runs of four sizes and four lengths, each with a learning rate that falls to a tenth by its end. The
comparison task stands in one sequence of eight.

    python -m launch.study --config=configs/olmo/scaling.py --workdir=runs/scaling_lm
    python -m launch.scaling --workdir=runs/scaling_lm --tasks=all

For 2 CPU cores and without a download: 4 lengths x 3 streams x 4 sizes. Rates are those of the
other small studies, one for all sizes; a law of models at the best rate of each would be another.
It has not been run yet.

A second task with tokens of its own is never shown and measured as the first is.
"""

from rare_retention.experiment import Exposure, Measurement, Run
from rare_retention.optimizer import olmo
from rare_retention.settings.language import Language
from rare_retention.study.axes import Also, Axis
from rare_retention.study.grid import Study
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import Corpus

BATCH, WINDOW, INSTANCES = 32, 32, 4  # instances a batch
LENGTHS = (500, 1000, 2000, 4000)  # steps


def get_config() -> Study:
    """Sizes x lengths."""
    rates = [olmo(steps, peak=3e-3, from_zero=True) for steps in LENGTHS]
    per_token = INSTANCES / (BATCH * WINDOW)
    return Study(
        name="scaling law",
        question=__doc__,
        run=Run(
            setting=Language(
                corpus=Corpus(vocabulary=512, held_out=512),
                window=WINDOW,
                tasks=(
                    Comparison(per_token=per_token, symbols=16),
                    Comparison(per_token=0, symbols=16),
                ),
                watch=(1, 2),
                sizes=("tiny-16", "tiny-32", "tiny-64", "tiny-128"),
            ),
            exposure=Exposure(placement="even"),
            optimizer=rates[0],
            batch=BATCH,
            steps=LENGTHS[0],
            measure=Measurement(every=500, effect=False),
        ),
        grid=(
            Axis(
                field="steps",
                values=LENGTHS,
                also=tuple(
                    Also(
                        field=f"optimizer.{name}",
                        values=tuple(getattr(rate, name) for rate in rates),
                    )
                    for name in ("horizon", "warmup", "clip_warmup")
                ),
            ),
        ),
        streams=3,
        figures=("scaling_law", "task_text"),
        claims=("learns_text",),
    )
