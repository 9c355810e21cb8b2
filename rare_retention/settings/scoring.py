"""What a language model makes of tokens that it is asked for: loss, accuracy, natural prompts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rare_retention.models import vocabulary
from rare_retention.models.language_model import LanguageModel
from rare_retention.parallel import constrain, shards
from rare_retention.settings.levels import Levels, levels
from rare_retention.settings.objective import Array


def scores(model: LanguageModel, tokens: Array, first: int) -> tuple[jax.Array, jax.Array]:
    """Mean loss and accuracy over the targets tokens[:, first:].

    Args:
        model: that is evaluated.
        tokens: int32 [n, T].
        first: place of the first target, at least 1.
    """
    hidden = model(_spread(tokens))[: len(tokens), first - 1 : -1]
    targets = jnp.asarray(tokens[:, first:])
    loss, right = vocabulary.evaluate(hidden, model.readout, targets)
    return loss.mean(), right.mean()


class Answered(NamedTuple):
    """What a model makes of questions.

    Attributes:
        loss: mean loss of an answer, in nats.
        right: share of the answers that is given in full.
        levels: what it knows of the answer and of its format; NaN without labels.
    """

    loss: jax.Array
    right: jax.Array
    levels: Levels


def answers(model: LanguageModel, tokens: Array, count: int, labels: Array = ()) -> Answered:
    """What a model answers to questions.

    The loss of an answer is minus the log of the probability of all its tokens together. It is
    given in full where each of its tokens is the likeliest after those before it, so that the model
    would write it.

    Args:
        model: that is asked.
        tokens: questions and answers, int32 [n, T].
        count: tokens of an answer, the last ones.
        labels: tokens among which an answer of one token is, int32 [c]; none leaves out the levels.
    """
    first = tokens.shape[1] - count
    hidden = model(_spread(tokens))[: len(tokens), first - 1 : -1]
    targets = jnp.asarray(tokens[:, first:])
    loss, right = vocabulary.evaluate(hidden, model.readout, targets)
    found = Levels(*(jnp.full((), jnp.nan),) * 3)
    if len(labels):
        known = jnp.asarray(labels)
        scored = vocabulary.logits(hidden[:, 0], model.readout[known])
        all_words = loss[:, 0] + _own(scored, known, targets[:, 0])  # log of the sum over the words
        mass = jax.nn.logsumexp(scored, axis=-1) - all_words
        # On each device whole: fits of two numbers a label would talk about every sum they take.
        own = constrain((targets == known[None]).argmax(-1), None)
        found = levels(constrain(scored, None, None), own, constrain(mass, None))
    return Answered(loss.sum(-1).mean(), right.min(-1).mean(), found)


def _own(scored: jax.Array, labels: jax.Array, targets: jax.Array) -> jax.Array:
    """Logit of each instance's own label, [n], from those of all labels [n, c]."""
    return jnp.where(targets[:, None] == labels[None], scored, 0.0).sum(-1)


def prompted(model: LanguageModel, tokens: Array, numbers: Array, right: Array) -> jax.Array:
    """Mean of minus log of the probability that the next token is a right number.

    Args:
        model: that is asked.
        tokens: of the prompts, int32 [n, L].
        numbers: tokens that may be right, int32 [c].
        right: whether they are after each prompt, bool [n, c].
    """
    hidden = model(_spread(tokens))[: len(tokens), -1]
    words = jax.nn.log_softmax(vocabulary.logits(hidden, model.readout), axis=-1)
    right = jnp.where(jnp.asarray(right), words[:, jnp.asarray(numbers)], -jnp.inf)
    return -jax.nn.logsumexp(right, axis=-1).mean()


def _spread(tokens: Array) -> jax.Array:
    """Rows over the devices, filled up so that each has as many as any other."""
    missing = -len(tokens) % shards("batch")
    return constrain(jnp.pad(jnp.asarray(tokens), ((0, missing), (0, 0))), "batch", None)
