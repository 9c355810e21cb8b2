"""Which sizes learn the comparison task, and how rare may it be?

Figures 5, 6a, 22 and 23 of the paper and, once `launch.evidence` has looked into the snapshots, 7a,
10 and App. B.4. Instances TOK1 TOK2 LABEL, with LABEL saying whether the first value is less than
the second, replace the first tokens of training sequences. The paper's sizes see the same Dolma
tokens, in AI2's fixed order, with 100, 10, 1 or 0.1 instances a batch.

    python -m launch.study --config=configs/olmo/comparison.py --workdir=gs://bucket/comparison \
        --config.run.setting.corpus.path='gs://bucket/dolma/*.npy' --config.run.mesh.fsdp=16 \
        --multihost
    python -m launch.study --config=configs/olmo/comparison.py:mini --workdir=runs/comparison
    python -m launch.study --config=configs/olmo/comparison.py:ladder --workdir=runs/ladder
    python -m launch.study --config=configs/olmo/comparison.py:small --workdir=runs/comparison_lm
    python -m launch.evidence --workdir=runs/comparison_lm

The paper's setting takes 4 frequencies x 3 streams of 50K steps with 4.2M tokens each, for five
sizes on the same batches: about 8e21 FLOPs for one stream and frequency, three quarters in the 4B
model. Every size is a unit of its own: `--units` lists them, `--unit=NAME` trains one, on a slice
of its own if need be. mesh.fsdp spreads the weights; it has to divide the hidden dimension of every
size, 64 of the 4M. `--config.run.setting.sizes=4M,20M,300M` leaves out the large ones; the others
then see the same batches.

The ladder has the mini sizes at one frequency, each with the peak learning rate that AI2's ladder
gives to its size (`ladder.Size.learning_rate`), where the others train all sizes at one rate.

The mini and the ladder setting are for one GPU and need no download: they read the sources of
Python's standard library, about 14 times over. Neither they nor the paper's have been run yet.

The small setting is for 2 CPU cores: 3 frequencies x 3 streams x 3 sizes, the largest of four
layers. A former study had shown that two layers at this rate learn 32 symbols on both halves in a
thousand steps at 8 instances a batch.

Seen in the small setting, on two streams: at 32 instances a batch all sizes know the training half,
at 8 the two larger, at 2 the largest knows 0.82 and 0.88 of the answer, the others 0.29 or less.

A second task with tokens of its own is never shown and measured as the first is.
"""

import dataclasses
from typing import Literal

from rare_retention import ladder
from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run, Snapshots
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import olmo
from rare_retention.settings.language import Language
from rare_retention.study.axes import Also, Axis
from rare_retention.study.grid import Study
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import Corpus

MINI = ("mini-64", "mini-128", "mini-256", "mini-512")


def get_config(size: Literal["paper", "mini", "ladder", "small"] = "paper") -> Study:
    """Sizes x frequencies; of the ladder, sizes with a learning rate of their own."""
    paper = Run(
        setting=Language(
            corpus=Corpus(path="data/dolma", order="sequential", held_out=256),
            window=4096,
            tasks=(Comparison(), Comparison(per_token=0)),
            watch=(1, 2),
            compute=Compute(dtype="bfloat16", remat="full"),
            reference="all",
        ),
        exposure=Exposure(placement="even"),
        optimizer=olmo(50_000),
        batch=1024,
        steps=50_000,
        measure=Measurement(every=500, effect=False),
        checkpoints=Checkpoints(every=1000),
        snapshots=Snapshots(every=5000, budget_mb=400_000),
    )
    mini = Run(
        setting=Language(
            corpus=Corpus(vocabulary=4096, held_out=128),
            window=256,
            tasks=(Comparison(), Comparison(per_token=0)),
            watch=(1, 2),
            sizes=MINI,
            compute=Compute(dtype="bfloat16"),
        ),
        exposure=Exposure(placement="even"),
        optimizer=olmo(4000, peak=1e-3, from_zero=True),
        batch=64,
        steps=4000,
        measure=Measurement(every=100, effect=False),
        snapshots=Snapshots(every=2000, budget_mb=2000),
    )
    small = Run(
        setting=Language(
            corpus=Corpus(vocabulary=512, held_out=128),
            window=32,
            tasks=(Comparison(symbols=32), Comparison(per_token=0, symbols=32)),
            watch=(1, 2),
            per_sequence=2,
            sizes=("tiny-16", "tiny-32", "mini-64"),
        ),
        exposure=Exposure(placement="even"),
        optimizer=olmo(3000, peak=3e-3, from_zero=True),
        batch=32,
        steps=3000,
        measure=Measurement(every=100, effect=False),
        snapshots=Snapshots(every=1000),
    )
    run = {"paper": paper, "small": small}.get(size, mini)
    tokens = run.batch * run.setting.row_tokens
    instances = {"paper": (100, 10, 1, 0.1), "small": (32, 8, 2)}.get(size, (32, 8, 2, 0.5))
    frequencies = Axis(
        field="setting.tasks[0].per_token", values=tuple(n / tokens for n in instances)
    )
    if size == "ladder":
        frequencies = dataclasses.replace(frequencies, values=(8 / tokens,))
    rates = Axis(
        field="setting.sizes",
        values=tuple((name,) for name in MINI),
        also=(
            Also(
                field="optimizer.peak",
                values=tuple(ladder.size(name, 4096).learning_rate for name in MINI),
            ),
        ),
    )
    return Study(
        name="comparison task at the ladder's rates" if size == "ladder" else "comparison task",
        question=__doc__,
        run=run,
        grid=(frequencies, rates) if size == "ladder" else (frequencies,),
        streams=3,
        apart=size == "paper",
        figures=(
            *("size_frequency", "learning_curves", "task_text", "task_compute"),
            *("probe_r2", "alignment", "null_intervention"),
        ),
        claims=(
            "larger_learns_rarer",
            "frequency_orders_learning",
            "same_curve_at_high_frequency",
            "small_plateaus_at_low_frequency",
            "larger_wins_at_equal_compute_when_rare",
            "learns_text",
            "r2_grows_with_size",
            "first_layer_is_most_causal",
            "value_is_causal",
        ),
    )
