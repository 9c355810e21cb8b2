"""Does a larger language model keep what a smaller one forgets?

Figures 8 and 9 of the paper. The comparison task is withheld and then shown in bursts: n instances
every n batches. The same runs with the task left out are the control: what a model knows of it
beyond that is what it can keep or lose. Around chosen bursts the task's loss is followed from just
before one to the next, and the batch's gradient is compared with the task's own, on the task
neurons and on all weights.

    python -m launch.study --config=configs/olmo/retention.py --workdir=gs://bucket/retention \
        --config.run.setting.corpus.path='gs://bucket/dolma/*.npy' --config.run.mesh.fsdp=16 \
        --multihost
    python -m launch.study --config=configs/olmo/retention.py:mini --workdir=runs/retention_mini
    python -m launch.study --config=configs/olmo/retention.py:small --workdir=runs/retention_lm

The paper's setting shows 100 instances every 100 steps, every size a unit of its own. The mini
setting is for one GPU, the small one for 2 CPU cores (12 to 18 minutes for 3 streams, and as long
for the control): both read the sources of Python's standard library. The paper's and the mini
setting have not been run yet, nor has the control of the small one.

The calibration has the small setting at several learning rates. From it `launch.match` reads those
at which all sizes gain alike from each instance shown; its flags make of the small setting a study
at equal gain.

    python -m launch.study --config=configs/olmo/retention.py:calibration --workdir=runs/calibration
    python -m launch.match --workdir=runs/calibration

Seen in the small setting: by the loss on the labels the largest model ends with more of the task
than the smallest. What they keep of it was first judged by a statistic that does not measure
keeping, and is open.

A second task with tokens of its own is never shown and measured as the first is.
"""

import dataclasses
from typing import Literal

from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run, Snapshots
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import Optimizer, olmo
from rare_retention.settings.language import Language
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import Corpus

GAP = 24  # of the small setting: 192 instances every 24 batches, three in each sequence
PEAKS = (5e-4, 1e-3, 2e-3)  # of the calibration


def get_config(size: Literal["paper", "mini", "small", "calibration"] = "paper") -> Study:
    """Sizes under bursts of one gap."""
    paper = Run(
        setting=Language(
            corpus=Corpus(path="data/dolma", order="sequential", held_out=256),
            window=512,
            tasks=(Comparison(per_token=1 / (1024 * 512)), Comparison(per_token=0)),
            watch=(1, 2),
            sizes=("20M", "300M", "1B"),
            compute=Compute(dtype="bfloat16", remat="full"),
            reference="all",
        ),
        exposure=Exposure(placement="burst", gap=100, background="even"),
        optimizer=olmo(50_000),
        batch=1024,
        steps=50_000,
        measure=Measurement(every=500, cycles=20, gradients=True, effect=False),
        checkpoints=Checkpoints(every=1000),
        snapshots=Snapshots(cycles=2, budget_mb=200_000),
    )
    mini = Run(
        setting=Language(
            corpus=Corpus(vocabulary=4096, held_out=128),
            window=256,
            tasks=(
                Comparison(per_token=1 / (128 * 256), symbols=50),
                Comparison(per_token=0, symbols=50),
            ),
            watch=(1, 2),
            sizes=("mini-64", "mini-128", "mini-256", "mini-512"),
            compute=Compute(dtype="bfloat16"),
        ),
        exposure=Exposure(placement="burst", gap=100, background="even"),
        optimizer=olmo(6000, peak=1e-3, from_zero=True),
        batch=128,
        steps=6000,
        measure=Measurement(every=200, cycles=15, gradients=True, effect=False),
        snapshots=Snapshots(cycles=2, budget_mb=8000),
    )
    small = Run(
        setting=Language(
            corpus=Corpus(vocabulary=512, held_out=64),
            window=32,
            tasks=(
                Comparison(per_token=8 / (64 * 32), symbols=16),
                Comparison(per_token=0, symbols=16),
            ),
            watch=(1, 2),
            per_sequence=4,
            sizes=("tiny-16", "tiny-32", "tiny-64", "tiny-128"),
            compute=Compute(remat="full"),
        ),
        exposure=Exposure(placement="burst", gap=GAP, background="even"),
        # Without a decay, so that late bursts move the models as early ones do.
        optimizer=Optimizer(
            peak=1e-3,
            schedule="constant",
            warmup=100,
            weight_decay=0.1,
            beta2=0.95,
            epsilon=1e-5,
        ),
        batch=64,
        steps=2400,
        measure=Measurement(every=240, cycles=24, gradients=True, effect=False),
        snapshots=Snapshots(cycles=2),
    )
    study = Study(
        name="retention in language models",
        question=__doc__,
        run={"paper": paper, "mini": mini}.get(size, small),
        grid=(Axis(field="exposure.left_out", values=((), (-1,))),),
        streams=3,
        apart=size == "paper",
        figures=("injection", "loss_change", "gradient_cosines", "task_text"),
        claims=(
            "retention_factor_grows_with_size",
            "larger_keeps_more_at_matched_gain",
            "small_loses_most_in_a_gap",
            "wide_accumulates",
            "peak_lags_exposure",
            "injection_gradient_points_to_the_task",
            "rest_interferes_less_in_large",
            "learns_text",
        ),
    )
    return calibration(study) if size == "calibration" else study


def calibration(study: Study) -> Study:
    """One stream at each of several learning rates, with no more than their gains need."""
    measure = dataclasses.replace(study.run.measure, gradients=False)
    return dataclasses.replace(
        study,
        name="learning rates of " + study.name,
        run=dataclasses.replace(study.run, measure=measure, snapshots=Snapshots()),
        grid=(Axis(field="optimizer.peak", values=PEAKS),),
        streams=1,
        figures=("loss_change",),
        claims=("learns_text",),
    )
