"""The student of the sparse parities: one hidden layer of ReLUs, two outputs."""

import math

import jax
import jax.numpy as jnp
from flax import nnx


class Perceptron(nnx.Module):
    """Multilayer perceptron on a one-hot task of K and n bits (Michaud et al. 2023).

    All weights and biases are drawn uniformly within 1 / sqrt(fan-in), the default of PyTorch's
    linear layers, which the code published with that paper uses. The fan-in of the hidden units is
    K + n, as if the task stood there one-hot.

    Attributes:
        bits: weights of the bits [n, N].
        control: weights of the task, a row for each [K, N].
        bias: of the hidden units [N].
        output: weights of the two outputs [N, 2].
        output_bias: of the outputs [2].
    """

    def __init__(self, width: int, tasks: int, bits: int, *, rngs: nnx.Rngs) -> None:
        """Draws the initial weights.

        Args:
            width: N.
            tasks: K.
            bits: n.
            rngs: its `params` stream seeds the weights.
        """

        def drawn(fan_in: int, *shape: int) -> jax.Array:
            bound = 1 / math.sqrt(fan_in)
            return jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound)

        inputs = tasks + bits
        self.bits = nnx.Param(drawn(inputs, bits, width), out_sharding=("inputs", "hidden"))
        self.control = nnx.Param(drawn(inputs, tasks, width), out_sharding=("task", "hidden"))
        self.bias = nnx.Param(drawn(inputs, width), out_sharding=("hidden",))
        self.output = nnx.Param(drawn(width, width, 2), out_sharding=("hidden", "direction"))
        self.output_bias = nnx.Param(drawn(width, 2), out_sharding=("direction",))

    def shared(self, bits: jax.Array) -> jax.Array:
        """What hidden units are sent of the bits, whatever the task is.

        Args:
            bits: [B, n], 0.0 or 1.0.

        Returns:
            [B, N].
        """
        return bits @ self.bits[...] + self.bias[...][None]

    def __call__(self, shared: jax.Array, task: jax.Array) -> jax.Array:
        """Logits of a parity of 0 and of 1.

        Args:
            shared: what `shared` makes of the bits [B, N].
            task: of each row, int [B], or one for all rows.

        Returns:
            [B, 2].
        """
        # Picked, not multiplied by one-hot rows: losses and gradients took 6.5 ms so on 2 CPU cores
        # and 20 ms with the product, at K = 500, n = 100, B = 4000, N = 64 and 256; at K = 24 the
        # two took about as long.
        own = jnp.broadcast_to(self.control[...][task], shared.shape)
        return jax.nn.relu(shared + own) @ self.output[...] + self.output_bias[...][None]
