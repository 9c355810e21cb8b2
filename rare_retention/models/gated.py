"""Softmax-gated neurons that compete for two orthogonal tasks (paper Example 7, Fig. 11)."""

import jax
import jax.numpy as jnp
from flax import nnx


class Gated(nnx.Module):
    """Unit neurons u_i = cos(t_i) a + sin(t_i) b between a common direction a and a rare one b.

    The paper names a softmax-gated model without its equations. This is our reading of it. Neuron i
    is aligned with the task of direction v by (u_i.v)^2, the gate of that task picks among neurons
    by g = softmax_i(sharpness (u_i.v)^2), and what the neurons leave of the task is
    1 - sum_i g_i (u_i.v)^2. One neuron has a gate of 1 and losses sin^2 t and cos^2 t, whose
    gradient steps are those of Example 7 exactly: t -+ eta sin 2t. Of several neurons, a sharp gate
    sends each task to the one that is best at it, and turns the others away.

    Attributes:
        angle: t_i [n] in radians, uniform in a given range at the start.
        sharpness: inverse temperature of the gates; at 0 they are equal.
    """

    def __init__(
        self, neurons: int, sharpness: float, start: tuple[float, float], *, rngs: nnx.Rngs
    ) -> None:
        """Draws the initial angles.

        Args:
            neurons: n.
            sharpness: inverse temperature of the gates.
            start: smallest and largest initial angle, in radians.
            rngs: its `params` stream seeds the angles; equal seeds give equal first neurons,
                however many there are.
        """
        key = rngs.params()
        low, high = start
        draws = [
            jax.random.uniform(jax.random.fold_in(key, i), minval=low, maxval=high)
            for i in range(neurons)
        ]
        self.angle = nnx.Param(jnp.stack(draws), out_sharding=("hidden",))
        self.sharpness = sharpness

    def alignment(self) -> jax.Array:
        """Alignment (u_i.v)^2 of each neuron with the common and the rare direction, [2, n]."""
        angle = self.angle[...]
        return jnp.square(jnp.stack([jnp.cos(angle), jnp.sin(angle)]))

    def __call__(self) -> jax.Array:
        """Losses of the common and the rare task, [2], each from 0 to 1."""
        alignment = self.alignment()
        gate = jax.nn.softmax(self.sharpness * alignment, axis=-1)
        return 1 - (gate * alignment).sum(-1)
