"""The compiler's estimate of time."""

import made_hlo
import pytest

from rare_retention.planning import cycles, hlo


@pytest.mark.parametrize("queries", ["[2,3,16,8]", "[2,3,8,16]"])
def test_loops_count_by_their_turns_and_kernels_without_an_estimate_do_not(queries):
    """Whichever of its last two axes the kernel reads in the lanes."""
    text = made_hlo.TIMED.replace(
        "s8[1,8,8]{2,1,0}, bf16[2,3,16,8]", f"s8[1,8,8]{{2,1,0}}, bf16{queries}"
    )
    assert cycles.estimate(hlo.module(text)) == cycles.Estimate(
        3 * 100 + 7, 4, 3 * (2 * 3) * 16**2 * 8
    )
