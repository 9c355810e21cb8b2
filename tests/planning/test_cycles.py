"""The compiler's estimate of time."""

import made_hlo

from rare_retention.planning import cycles, hlo


def test_loops_count_by_their_turns_and_kernels_without_an_estimate_do_not():
    assert cycles.estimate(hlo.module(made_hlo.TIMED)) == cycles.Estimate(
        3 * 100 + 7, 4, 3 * (2 * 3) * 16**2 * 8
    )
