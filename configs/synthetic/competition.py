"""Does a second neuron save the rare task?

Example 7 and Figure 11 of the paper. Unit neurons stand between a common task (90% of the rows) and
a rare one (10%) in orthogonal directions. A step on one task turns a single neuron towards it; the
many common steps undo what a rare step has done. Of two gated neurons one is left to the rare task.

    python -m launch.study --config=configs/synthetic/competition.py --workdir=runs/competition

Plain gradient descent without clipping, one row a step, so that one neuron follows the closed form
of Example 7 exactly. The paper's size is small: both sizes are the same run, 3 streams x 8 initial
angles in a few seconds on 2 CPU cores.

Seen: one neuron loses the rare direction within about 40 steps; with two, one climbs at each rare
row to an alignment of 0.986 or more after 400 steps.
"""

from typing import Literal

from rare_retention.experiment import Exposure, Measurement, Run
from rare_retention.optimizer import Optimizer
from rare_retention.settings.competition import Competition
from rare_retention.study.grid import Study


def get_config(size: Literal["paper", "small"] = "paper") -> Study:
    """One and two neurons from the same initial angles; the two sizes do not differ."""
    return Study(
        name="one and two neurons",
        question=__doc__,
        run=Run(
            setting=Competition(neurons=(1, 2), initialisations=8, rare=0.1),
            exposure=Exposure(placement="iid"),
            optimizer=Optimizer(method="sgd", schedule="constant", peak=0.05, clip=None),
            batch=1,
            steps=400,
            measure=Measurement(every=2, effect=False),
        ),
        streams=3,
        figures=("competition",),
        claims=("one_neuron_is_pulled_back", "two_neurons_learn_both"),
    )
