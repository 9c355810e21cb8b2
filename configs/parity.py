"""Are rare subtasks learned later, or not at all by narrow students?

Multitask sparse parity, the model of "The Quantization Model of Neural Scaling" (Michaud et al.
2023, arXiv 2303.13506). A row names one of K subtasks and has n random bits; the subtask is the
parity of m bits of its own, and its frequency falls as a power of its rank. Perceptrons of one
hidden layer and several widths learn from the same batches. Of each subtask it is measured when it
is learned, in steps and in rows of its own.

    python -m launch.study --config=configs/parity.py:small --workdir=runs/parity
    python -m launch.study --config=configs/parity.py --workdir=runs/parity_paper

The paper's size has the numbers of one experiment of the code published with that paper, which
ranges over 30 widths from 10 to 500: n = 100, m = 3, K = 500, an exponent of 1.4 (alpha = 0.4),
batches of 20,000, 200,000 steps of AdamW at 1e-3 without decay, 1000 evaluated rows for each
subtask. Ours are six widths of that range and three streams. It has not been run.

The small setting takes one to two minutes on 2 CPU cores: 5 streams x 5 widths, 6000 steps. Its
learning rate, number of subtasks, bits and steps were tuned on streams 1001 to 1004, which the
study does not have, until the widest student learned more than half of the subtasks and the
narrowest about one.

Seen in the small setting: students of width 8 learned 1 or 2 of 24 subtasks, of width 128 11 to 14.
At width 128 frequency and earliness have a rank correlation of 0.83 to 0.94 by stream; that it is
above 0.8 is undecided. The eight most frequent, whose frequencies differ by a factor of 18, took
18,000 to 55,000 of their own expected rows each.
The claim that rarer ones need more holds by those that were not learned at all.
"""

from typing import Literal

from rare_retention.experiment import Exposure, Measurement, Run
from rare_retention.optimizer import Optimizer
from rare_retention.settings.parity import Parity
from rare_retention.study.grid import Study


def get_config(size: Literal["paper", "small"] = "paper") -> Study:
    """Widths on one mixture of parities; each stream has other subsets, batches and weights."""
    paper = Run(
        setting=Parity(
            tasks=500,
            bits=100,
            subset=3,
            shams=1,
            prior_exponent=1.4,
            widths=(10, 22, 50, 113, 254, 500),
            watch=(-2, -1),
            evaluated=1000,
        ),
        exposure=Exposure(placement="iid"),
        optimizer=_adam(1e-3),
        batch=20_000,
        steps=200_000,
        measure=Measurement(every=500, effect=False),
    )
    small = Run(
        setting=Parity(
            tasks=24,
            bits=24,
            subset=3,
            shams=1,
            prior_exponent=1.4,
            widths=(8, 16, 32, 64, 128),
            watch=(-2, -1),
            evaluated=1000,
        ),
        exposure=Exposure(placement="iid"),
        optimizer=_adam(1e-2),
        batch=1024,
        steps=6000,
        measure=Measurement(every=25),
    )
    return Study(
        name="sparse parities",
        question=__doc__,
        run=paper if size == "paper" else small,
        streams=3 if size == "paper" else 5,
        figures=("parity",),
        claims=(
            "parities_learned_by_frequency",
            "rarer_parity_needs_more_own_rows",
            "wider_learns_more_parities",
        ),
    )


def _adam(peak: float) -> Optimizer:
    """As in that code: AdamW without decay, clipping or schedule."""
    return Optimizer(peak=peak, schedule="constant", weight_decay=0.0, clip=None)
