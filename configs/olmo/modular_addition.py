"""Which sizes grok modular addition that is injected into text?

Figure 5 of the paper, second task, and Figures 7b and 10 once `launch.evidence` has looked into the
snapshots. LABEL is the token whose value is the sum of the two values modulo 100. Models remember
the training half first; the test half follows late, in large models at high frequencies only. The
frequencies reach from one instance in 64 sequences to eight in each, of the small setting from one
in two to six.

    python -m launch.study --config=configs/olmo/modular_addition.py --workdir=gs://bucket/add \
        --config.run.setting.corpus.path='gs://bucket/dolma/*.npy' --config.run.mesh.fsdp=16 \
        --multihost
    python -m launch.study --config=configs/olmo/modular_addition.py:mini --workdir=runs/addition
    python -m launch.study --config=configs/olmo/modular_addition.py:small \
        --workdir=runs/addition_small
    python -m launch.evidence --workdir=runs/addition_small

The paper's setting takes 5 frequencies x 3 streams of 50K steps with 1M tokens each, every size a
unit of its own (`--units` lists them). The mini setting is for one GPU and needs no download.
Neither has been run yet. The small one is for 2 CPU cores: 3 frequencies x 3 streams x 3 sizes.

What a small model needs to grok was looked for in a pilot on stream 77 with other tasks, models of
197 thousand parameters with 192 instances a batch. With 31 symbols, a weight decay of 1 and a rate
of 1e-3 it knew the training half after 1,000 steps and nothing of the test half until 4,000; after
9,000 it had 92% of that right. At 3e-3 it was there after 2,000. Less decay is slower (0.3) or did
not get there in 10,000 steps (0.1), and so do fewer symbols: with 16 it stayed below 50%.

Seen in the small setting, on one stream and in part on another: with 192 instances a batch all
sizes generalise, the smallest in part, with 64 the two larger, with 16 none knows even the training
half.

A second task with tokens of its own is never shown and measured as the first is.
"""

from typing import Literal

from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run, Snapshots
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import Optimizer, olmo
from rare_retention.settings.language import Language
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study
from rare_retention.tasks import ModularAddition
from rare_retention.text.corpus import Corpus

PER_SEQUENCE = (8.0, 2.0, 1.0, 1 / 8, 1 / 64)
SMALL_PER_SEQUENCE = (6.0, 2.0, 1 / 2)


def get_config(size: Literal["paper", "mini", "small"] = "paper") -> Study:
    """Sizes x frequencies."""
    paper = Run(
        setting=Language(
            corpus=Corpus(path="data/dolma", order="sequential", held_out=256),
            window=1024,
            tasks=(ModularAddition(), ModularAddition(per_token=0)),
            watch=(1, 2),
            per_sequence=9,
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
            tasks=(ModularAddition(symbols=50), ModularAddition(per_token=0, symbols=50)),
            watch=(1, 2),
            per_sequence=9,
            sizes=("mini-64", "mini-128", "mini-256", "mini-512"),
            compute=Compute(dtype="bfloat16"),
        ),
        exposure=Exposure(placement="even"),
        optimizer=olmo(8000, peak=1e-3, from_zero=True),
        batch=64,
        steps=8000,
        measure=Measurement(every=200, effect=False),
        snapshots=Snapshots(every=4000, budget_mb=2000),
    )
    symbols = 31
    small = Run(
        setting=Language(
            corpus=Corpus(vocabulary=512, held_out=128),
            window=32,
            tasks=(ModularAddition(symbols=symbols), ModularAddition(per_token=0, symbols=symbols)),
            watch=(1, 2),
            per_sequence=7,
            sizes=("tiny-16", "tiny-32", "tiny-64"),
        ),
        exposure=Exposure(placement="even"),
        optimizer=Optimizer(
            peak=3e-3, schedule="constant", warmup=100, beta2=0.95, weight_decay=1.0
        ),
        batch=32,
        steps=6000,
        measure=Measurement(every=200, effect=False),
        snapshots=Snapshots(every=2000),
    )
    run = {"paper": paper, "mini": mini, "small": small}[size]
    window = run.setting.row_tokens
    per_sequence = SMALL_PER_SEQUENCE if size == "small" else PER_SEQUENCE
    return Study(
        name="modular addition",
        question=__doc__,
        run=run,
        grid=(
            Axis(
                field="setting.tasks[0].per_token", values=tuple(n / window for n in per_sequence)
            ),
        ),
        streams=3,
        apart=size == "paper",
        figures=(
            *("size_frequency", "learning_curves", "task_text", "task_compute"),
            *("probe_r2", "fourier_modes", "alignment", "null_intervention"),
        ),
        claims=(
            "larger_learns_rarer",
            "frequency_orders_learning",
            "same_curve_at_high_frequency",
            "small_plateaus_at_low_frequency",
            "learns_text",
            "r2_grows_with_size",
            "modes_grow_with_frequency",
            "first_layer_is_most_causal",
            "value_is_causal",
        ),
    )
