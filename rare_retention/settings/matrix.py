"""Which weights are matrices, for optimizers that read them so."""

import math
from typing import NamedTuple


class Matrix(NamedTuple):
    """A weight as a matrix, or as several of equal shape that stand side by side.

    Axes are counted from the last, -1, so that stacks of layers and of students may stand before.
    An axis that is named in neither, such as that of queries, keys and values, has a matrix of its
    own at each place.

    Attributes:
        inputs: axes over which a product with the weight sums.
        outputs: axes that are left of it.
    """

    inputs: tuple[int, ...] = (-2,)
    outputs: tuple[int, ...] = (-1,)

    def sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Numbers of inputs and of outputs of one matrix.

        Args:
            shape: of the weight.
        """
        inputs, outputs = (
            math.prod(shape[axis] for axis in axes) for axes in (self.inputs, self.outputs)
        )
        return inputs, outputs
