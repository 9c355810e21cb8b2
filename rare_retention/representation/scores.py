"""What a model makes of every instance of a task: the score of each label, one by one.

Levels are means over the instances; from these scores they can be had for any choice of instances,
and it shows which ones are known, forgotten, or learned again.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from rare_retention.models import vocabulary
from rare_retention.models.language_model import LanguageModel

_ROWS = 1024  # instances that are asked at once


def label_scores(model: LanguageModel, tokens: NDArray[np.integer]) -> NDArray[np.float32]:
    """Log of the probability of each label as the next token, in nats, float32 [n, c].

    Args:
        model: that is asked.
        tokens: instances, questions of any length and a label of one token, [n, T]. The c labels
            are all last tokens that there are, in ascending order.
    """
    labels = jnp.asarray(np.unique(tokens[:, -1]))
    parts = [
        np.asarray(_scores(model, jnp.asarray(tokens[i : i + _ROWS, :-1], jnp.int32), labels))
        for i in range(0, len(tokens), _ROWS)
    ]
    return np.concatenate(parts)


@nnx.jit
def _scores(model: LanguageModel, questions: jax.Array, labels: jax.Array) -> jax.Array:
    words = vocabulary.logits(model(questions)[:, -1], model.readout)
    return jax.nn.log_softmax(words, axis=-1)[:, labels]
