"""Which sizes grok modular addition that is injected into text?

Figure 5 of the paper, second task, and Figures 7b and 10 once `launch.evidence` has looked into the
snapshots. LABEL is the token whose value is the sum of the two values modulo 100. Models remember
the training half first; the test half follows late, in large models at high frequencies only. The
frequencies reach from one instance in 64 sequences to eight in each.

    python -m launch.study --config=configs/olmo/modular_addition.py --workdir=gs://bucket/add \
        --config.run.setting.corpus.path='gs://bucket/dolma/*.npy' --config.run.mesh.fsdp=16 \
        --multihost
    python -m launch.study --config=configs/olmo/modular_addition.py:mini --workdir=runs/addition

The paper's setting takes 5 frequencies x 3 streams of 50K steps with 1M tokens each, every size a
unit of its own (`--units` lists them). The mini setting is for one GPU and needs no download.
Neither has been run yet.

A second task with tokens of its own is never shown and measured as the first is.
"""

from typing import Literal

from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run, Snapshots
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import olmo
from rare_retention.settings.language import Language
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study
from rare_retention.tasks import ModularAddition
from rare_retention.text.corpus import Corpus

PER_SEQUENCE = (8.0, 2.0, 1.0, 1 / 8, 1 / 64)


def get_config(size: Literal["paper", "mini"] = "paper") -> Study:
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
    run = paper if size == "paper" else mini
    window = run.setting.row_tokens
    return Study(
        name="modular addition",
        question=__doc__,
        run=run,
        grid=(
            Axis(
                field="setting.tasks[0].per_token", values=tuple(n / window for n in PER_SEQUENCE)
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
