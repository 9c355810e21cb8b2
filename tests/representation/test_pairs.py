"""Counts of different interchange interventions."""

import pytest

from rare_retention.errors import ConfigError
from rare_retention.representation.pairs import check_pairs


@pytest.mark.parametrize(("position", "most"), [(0, 62), (1, 312)])
def test_there_are_only_so_many_pairs(position, most):
    check_pairs(5, position, most)
    with pytest.raises(ConfigError, match=f"pairs: expected 1 to {most}, half of the different"):
        check_pairs(5, position, most + 1)
