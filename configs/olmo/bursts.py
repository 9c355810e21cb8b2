"""Is what a small language model lacks of a rare task forgotten between bursts, or never learned?

The comparison task comes 3.2 times a batch, evenly or in bursts of 102 instances every 32 batches.
Bursts come again with the task protected in its gaps: the part of each update along its gradient
that would undo it is removed; with another task protected in its place that is never shown, which
should change nothing; with a fifth more instances in each, so that a model gains more; and with
both. In one arm the task is never shown: the control. Level is that of the answer.

    python -m launch.study --config=configs/olmo/bursts.py:small --workdir=runs/bursts_lm
    python -m launch.study --config=configs/olmo/bursts.py:still --workdir=runs/bursts_still
    python -m launch.study --config=configs/olmo/bursts.py:mini --workdir=runs/bursts_mini
    python -m launch.study --config=configs/olmo/bursts.py --workdir=gs://bucket/bursts \
        --config.run.setting.corpus.path='gs://bucket/dolma/*.npy' --config.run.mesh.fsdp=16 \
        --multihost

The small setting took three hours on 2 CPU cores, other programs beside it: 8 streams of 7 arms,
models of 66 and 197 thousand parameters. The mini setting is for one GPU; neither it nor the
paper's has been run.

Sizes and lengths come from a pilot on another stream with other tasks: at 2.4 instances a batch
tiny-32 was at 0.86 and tiny-64 at 1.00 after 2400 steps where the task came evenly, at 0.36 and
0.81 in bursts. Thresholds are those of the synthetic study; an earlier pilot with other lengths
had found that protection closes less than a third of such a gap.

Seen in the small setting: bursts leave tiny-32 0.49 of the answer and tiny-64 0.86. Of what tiny-32
lacks beside it protection gives back 0.96 (0.76 to 1.16), a fifth more instances 0.04 (-0.09 to
0.17), though they do not raise its gains. The rule also teaches some of a task that is never shown,
so that not all of what it gives back need be forgetting.

The setting `still` asks what is left of that on other streams: it has the small setting's bursts
with another rule, which takes out of the updates in a gap all that changes the task to first order,
what helps it too. Some of its units have been run and not been looked at; they are kept in
`docs/results/data/bursts_still.tgz`.
"""

import dataclasses
from typing import Literal

from rare_retention.evidence.arms import BOTH, MORE, PROTECTED, STILL
from rare_retention.experiment import Checkpoints, Exposure, Measurement, Run
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import Optimizer, olmo
from rare_retention.rules.protection import Protection
from rare_retention.settings.language import Language
from rare_retention.study.arm_axis import NOT_PROTECTED, axis, bursts, even, never
from rare_retention.study.grid import Study
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import Corpus

TIMES = 1.2  # as many instances in a burst that has more
AFTER = 4  # steps from a burst to the first protected one
SHAM = 1  # place in `watch` of the task that is never shown


def setting(base: Language, per_token: float, symbols: int) -> Language:
    """The models with the task at a frequency, and one that is never shown."""
    tasks = tuple(Comparison(per_token=rate, symbols=symbols) for rate in (per_token, 0))
    return dataclasses.replace(base, tasks=tasks, watch=(1, 2))


def get_config(size: Literal["paper", "mini", "small", "still"] = "paper") -> Study:
    """Arms of one schedule of bursts, or of two."""
    gaps: tuple[int, ...] = (20, 100)
    if size in ("small", "still"):
        gaps, per_token = (32,), 3.2 / (32 * 32)
        models = Language(
            corpus=Corpus(vocabulary=512, held_out=128),
            window=32,
            per_sequence=4,
            sizes=("tiny-32", "tiny-64"),
        )
        run = Run(
            setting=setting(models, per_token, symbols=16),
            optimizer=Optimizer(peak=3e-3, schedule="constant", beta2=0.95),
            batch=32,
            steps=3199,
            measure=Measurement(every=1599, cycles=8, effect=False),
        )
    elif size == "mini":
        gaps, per_token = (100,), 1 / (128 * 256)
        models = Language(
            corpus=Corpus(vocabulary=4096, held_out=128),
            window=256,
            sizes=("mini-64", "mini-128", "mini-256"),
            compute=Compute(dtype="bfloat16"),
        )
        run = Run(
            setting=setting(models, per_token, symbols=50),
            optimizer=olmo(6000, peak=1e-3, from_zero=True),
            batch=128,
            steps=5999,
            measure=Measurement(every=2999, cycles=10, effect=False),
        )
    else:
        per_token = 1 / (1024 * 512)
        models = Language(
            corpus=Corpus(path="data/dolma", order="sequential", held_out=256),
            window=512,
            sizes=("20M", "300M", "1B"),
            compute=Compute(dtype="bfloat16", remat="full"),
        )
        run = Run(
            setting=setting(models, per_token, symbols=100),
            optimizer=olmo(50_000),
            batch=1024,
            steps=49_999,
            measure=Measurement(every=24_999, cycles=10, effect=False),
            checkpoints=Checkpoints(every=1000),
        )
    counterfactuals = (STILL,) if size == "still" else (PROTECTED, MORE, BOTH)
    schedules = [bursts(gap, *counterfactuals, after=AFTER, along=SHAM) for gap in gaps]
    arms = [even(), *(arm for schedule in schedules for arm in schedule), never(gaps[-1])]
    return Study(
        name="bursts in language models",
        question=__doc__,
        run=dataclasses.replace(
            run,
            exposure=Exposure(placement="even", background="even"),
            rule=Protection(after=NOT_PROTECTED),
        ),
        grid=(axis(arms, "setting.tasks[0].per_token", per_token, TIMES * per_token),),
        first_stream=8 if size == "still" else 0,
        streams={"small": 8, "still": 6, "mini": 2}.get(size, 3),
        apart=size == "paper",
        figures=("arms",),
        claims=(
            "bursts_cost_small_more",
            "holding_still_closes_the_gap",
            "holding_still_teaches_nothing",
            "learns_text",
        )
        if size == "still"
        else (
            "bursts_cost_small_more",
            "protection_closes_the_gap",
            "larger_bursts_close_little",
            "forgetting_outweighs_gains",
            "larger_gains_more",
            "larger_keeps_more_between_bursts",
            "protecting_another_gives_nothing",
            "learns_text",
        ),
    )
