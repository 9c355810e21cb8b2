"""A study of a user's own: everything that can be added is, in this one file.

A task is copied; tasks are shown at doubling distances; the model is a mixture of two experts; an
instrument measures how far the weights go; a rule slows the rare task's gradient down; a claim
says that a larger model comes further.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tiny_text

from rare_retention.config import config
from rare_retention.experiment import Measurement
from rare_retention.instruments import INSTRUMENTS
from rare_retention.instruments.instrument import Instrument
from rare_retention.models.architecture import DESIGNS, Architecture
from rare_retention.models.language_model import LanguageModel, Outputs, stacked
from rare_retention.models.llama import LlamaLayer
from rare_retention.models.llama_shape import LlamaShape
from rare_retention.models.transformer import normal, ones, rms_norm, swiglu
from rare_retention.rules import RULES
from rare_retention.rules.rule import Rule
from rare_retention.schedule.placement import PLACEMENTS, Placement, Placing
from rare_retention.settings.quantity import Quantity
from rare_retention.study import claims
from rare_retention.study.grid import Study
from rare_retention.tasks.injected import TASKS, Injected


@TASKS.add
@config
class Copy(Injected):
    """Two tokens, then the same two again."""

    kind: Literal["copy"] = "copy"
    symbols: int = 6
    name, length, answer = "copy", 4, 2

    @property
    def chance(self):
        return self.symbols**-2

    @property
    def drawn(self):
        return self.symbols

    def encode(self, own, seed):
        first, second = np.divmod(np.arange(self.symbols**2), self.symbols)
        return np.stack([own[first], own[second]] * 2, axis=1).astype(np.int32)


@PLACEMENTS.add
@config
class Doubling(Placing):
    """The rarest task has some slots at steps first, 2 first, 4 first, ..."""

    placement: Literal["doubling"] = "doubling"
    first: int = 1

    def place(self, asked):
        return Doubled(asked, self.first)


class Doubled(Placement):
    def __init__(self, asked, first):
        self.asked, self.first = asked, first
        self.burst = math.ceil(asked.shares[-1] * asked.batch * 4)

    def counts(self, step):
        shown = step % self.first == 0 and (step // self.first).bit_count() == 1
        return [self.asked.batch - shown * self.burst, shown * self.burst]

    def before(self, step, task):
        bursts = ((step - 1) // self.first).bit_length() if step else 0
        return bursts * self.burst if task else step * self.asked.batch - bursts * self.burst

    def rate(self, task):
        return 1.0 if task == 0 else float(self.asked.shares[task])


@config
class ExpertShape(LlamaShape):
    """A Llama whose MLP is two experts, mixed by a router that is to keep them in balance."""

    @property
    def kind(self):
        return "experts"

    @property
    def layer_parameters(self):
        mlp = self.hidden * self.mlp + self.mlp // 2 * self.hidden
        return super().layer_parameters + mlp + 2 * self.hidden

    @property
    def layer_weights(self):
        return ("q", "kv", "out", "gate_up", "down", "router", "attention_norm", "mlp_norm")

    @property
    def neuron_axes(self):
        return {"gate_up": 3, "down": 1}  # experts stand before

    @property
    def recorded(self):
        return {
            "balance": Quantity((), "nats", "how far the experts' shares are from equal"),
            "expert_share": Quantity(("layer", "expert"), "share", "of the tokens, by expert"),
        }

    def build(self, compute, rngs):
        return Experts(self, compute, rngs=rngs)

    @staticmethod
    def published():
        return {}


@DESIGNS.add
@config
class TwoExperts:
    kind: Literal["experts"] = "experts"

    def shape(self, **dimensions) -> Architecture:
        return ExpertShape(**dimensions)


class ExpertLayer(LlamaLayer):
    def __init__(self, shape, *, rngs):
        super().__init__(shape, rngs=rngs)
        d, m = shape.hidden, shape.mlp // 2
        self.gate_up = normal(rngs, (2, d, 2, m), 0.02, (None, "embed", None, "mlp"))
        self.down = normal(rngs, (2, m, d), 0.02, (None, "mlp", "embed"))
        self.router = normal(rngs, (d, 2), 0.02, ("embed", None))

    def routed(self, x):
        """What the experts add, and the share of each token that each has [B, T, 2]."""
        x = rms_norm(x, self.mlp_norm[...], self.shape.norm_epsilon)
        share = jax.nn.softmax(jnp.tensordot(x, self.router[...], 1))
        each = [swiglu(x, self.gate_up[...][e], self.down[...][e]) for e in range(2)]
        return sum(share[..., e, None] * each[e] for e in range(2)), share

    def mlp(self, x):
        return self.routed(x)[0]


class Experts(LanguageModel):
    def __init__(self, shape, compute, *, rngs):
        self.shape, self.compute = shape, compute
        words = (shape.vocabulary, shape.hidden)
        self.embedding = normal(rngs, words, 0.02, ("vocab", "embed"))
        self.unembedding = normal(rngs, words, 0.02, ("vocab", "embed"))
        self.layers = stacked(lambda rngs, _: ExpertLayer(shape, rngs=rngs), shape.layers, rngs)
        self.final_norm = ones((shape.hidden,))

    def forward(self, tokens):
        def step(layer, x):
            x = x + layer.attention(x, self.compute.attention)
            added, share = layer.routed(x)
            return x + added, share.mean((0, 1))

        x, shares = self.run(self.embed(tokens), step)
        balance = (shares * jnp.log(2 * shares)).sum(-1).mean()
        return Outputs(self.normalise(x), {"balance": balance}, {"expert_share": shares})

    @property
    def readout(self):
        return self.unembedding[...]

    def normalise(self, x):
        return rms_norm(x, self.final_norm[...], self.shape.norm_epsilon)


@INSTRUMENTS.add
@config
class Distance(Instrument):
    """Length of the updates since the last measurement, one after another."""

    kind: Literal["distance"] = "distance"

    def quantities(self, setting):
        return {"distance": Quantity((), "weights", "length of the updates, one after another")}

    def start(self, traced, params):
        return {name: jnp.zeros(len(jax.tree.leaves(own)[0])) for name, own in params.items()}

    def follow(self, followed, moment):
        def square(leaf):
            return jnp.square(leaf).sum(range(1, leaf.ndim))

        return {
            name: followed[name] + jnp.sqrt(sum(map(square, jax.tree.leaves(own))))
            for name, own in moment.updates.items()
        }

    def read(self, followed, moment):
        return {"distance": followed}


@RULES.add
@config
class Slowed(Rule):
    """The watched tasks' gradients are halved in the batch after an exposure, else as they are."""

    kind: Literal["slowed"] = "slowed"

    def gradient(self, parts, step):
        share = jnp.where(step.phase.since == 0, 0.5, 1.0)

        def total(rest, own):
            return rest + jnp.tensordot(share, own, 1)

        return jax.tree.map(total, parts.rest, parts.watched)


def further(results):
    """Distance of the largest model less that of the smallest."""
    distance = results["distance"].isel(step=-1)
    return distance.isel(size=-1) - distance.isel(size=0)


claims.add(
    claims.Claim(
        name="larger_goes_further",
        statement="A larger model's weights go further.",
        source="nobody",
        statistic="length of the last updates, largest minus smallest",
        relation=">",
        threshold=0.0,
        compute=further,
        account="none",
        against="The small model's weights go as far.",
    )
)


def get_config() -> Study:
    """Two sizes of a mixture of experts for eight steps."""
    setting = tiny_text.language(
        tasks=(Copy(per_token=1 / tiny_text.TOKENS),),
        sizes=("1x8x16x2", "1x16x32x2"),
        architecture=TwoExperts(),
        neurons=3,
    )
    run = tiny_text.run(setting, steps=8)
    fields = {name: getattr(run, name) for name in type(run).__dataclass_fields__}
    fields |= {"exposure": Doubling(first=2), "rule": Slowed()}
    fields |= {"measure": Measurement(every=4, gradients=True, instruments=(Distance(),))}
    return Study(
        name="a study of one's own",
        question=__doc__,
        run=type(run)(**fields),
        streams=2,
        claims=("larger_goes_further",),
    )
