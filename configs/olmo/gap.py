"""Does a longer gap between instances cost, at the same long-run frequency?

Figure 6b of the paper: n instances of the comparison task every n batches, for n from 1 to 100. All
runs have shown as many instances at their last burst; what differs is how long the general text
alone may overwrite what a burst has written.

    python -m launch.study --config=configs/olmo/gap.py --workdir=gs://bucket/gap \
        --config.run.setting.corpus.path='gs://bucket/dolma/*.npy' --config.run.mesh.fsdp=16 \
        --multihost
    python -m launch.study --config=configs/olmo/gap.py:mini --workdir=runs/gap
    python -m launch.study --config=configs/olmo/gap.py:small --workdir=runs/gap_lm

The paper's setting takes 5 gaps x 3 streams of 50K steps with 0.5M tokens each, every size a unit
of its own (`--units` lists them). The mini setting is for one GPU and needs no download. Neither
has been run yet. The small one is for 2 CPU cores: 3 gaps x 5 streams x 3 sizes, with the task, the
rate and the frequency of `configs/olmo/bursts.py:small` on other streams. It has not been run
either.

A second task with tokens of its own is never shown and measured as the first is.
"""

from typing import Literal

from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run, Snapshots
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import Optimizer, olmo
from rare_retention.settings.language import Language
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import Corpus


def get_config(size: Literal["paper", "mini", "small"] = "paper") -> Study:
    """Sizes x gaps."""
    paper = Run(
        setting=Language(
            corpus=Corpus(path="data/dolma", order="sequential", held_out=256),
            window=512,
            tasks=(Comparison(per_token=1 / (1024 * 512)), Comparison(per_token=0)),
            watch=(1, 2),
            compute=Compute(dtype="bfloat16", remat="full"),
            reference="all",
        ),
        exposure=Exposure(placement="burst", background="even"),
        optimizer=olmo(50_000),
        batch=1024,
        steps=50_000,
        measure=Measurement(every=500, cycles=20, effect=False),
        checkpoints=Checkpoints(every=1000),
        snapshots=Snapshots(cycles=2, budget_mb=2_000_000),
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
        exposure=Exposure(placement="burst", background="even"),
        optimizer=olmo(6000, peak=1e-3, from_zero=True),
        batch=128,
        steps=6000,
        measure=Measurement(every=200, cycles=12, effect=False),
    )
    small = Run(
        setting=Language(
            corpus=Corpus(vocabulary=512, held_out=128),
            window=32,
            tasks=(
                Comparison(per_token=3.2 / (32 * 32), symbols=16),
                Comparison(per_token=0, symbols=16),
            ),
            watch=(1, 2),
            per_sequence=4,
            sizes=("tiny-16", "tiny-32", "tiny-64"),
        ),
        exposure=Exposure(placement="burst", background="even"),
        optimizer=Optimizer(peak=3e-3, schedule="constant", beta2=0.95),
        batch=32,
        steps=3199,
        measure=Measurement(every=200, cycles=8, effect=False),
    )
    gaps = (1, 8, 32) if size == "small" else (1, 10, 20, 50, 100)
    return Study(
        name="gap between instances",
        question=__doc__,
        run={"paper": paper, "mini": mini, "small": small}[size],
        grid=(Axis(field="exposure.gap", values=gaps),),
        first_stream=20 if size == "small" else 0,
        streams=5 if size == "small" else 3,
        apart=size == "paper",
        figures=("injection_gap", "task_text"),
        claims=("gap_raises_task_loss", "learns_text"),
    )
