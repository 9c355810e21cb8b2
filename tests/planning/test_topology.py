"""What can be booked, and what is said of what cannot."""

import pytest

from rare_retention.errors import UserError
from rare_retention.planning.topology import CHIPS, known, parse


def test_a_slice_has_chips_hosts_and_a_name_to_book_it_by():
    one = parse("v5e:4x4")
    assert (one.chips, one.devices, one.hosts, one.accelerator) == (16, 16, 4, "v5litepod-16")
    two = parse("V5P:4x4x4", slices=2)
    assert (two.chips, two.hosts, two.accelerator) == (128, 32, "v5p-128")
    assert two.peak == 128 * CHIPS["v5p"].peak
    assert two.name == "v5p:4x4x4 x 2"
    assert parse("tpu7x:2x2x1").devices == 2 * parse("tpu7x:2x2x1").chips
    assert (parse("h100:16").hosts, parse("cpu:8").hosts) == (2, 1)


@pytest.mark.parametrize("name", known())
def test_all_that_are_listed_are_known(name):
    assert parse(name).name == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("v5:4x4", "did you mean v5e:4x4"),
        ("v5e", "v5e:4x4"),
        ("a100:8", "h100:8"),
        ("v5e:3x5", "nearest: v5e:4x4"),
        ("v5p:4x4", "nearest: v5p:2x2x4"),
        ("h100:2x4", "expected a number, h100:8"),
        ("cpu:0", "cpu:8"),
    ],
)
def test_what_is_not_known_is_refused_with_the_nearest(name, hint):
    with pytest.raises(UserError, match=hint) as error:
        parse(name)
    assert str(error.value).startswith(f"--topology={name}: ")


def test_slices_are_of_tpus():
    with pytest.raises(UserError, match="--slices=0"):
        parse("v5e:4x4", slices=0)
    with pytest.raises(UserError, match="h100 has none"):
        parse("h100:8", slices=2)


def test_peaks_are_what_the_clocks_make_of_the_matrix_units():
    """Two operations of each cell, a cycle: four units of 128 x 128 in a v5e."""
    v5e, v4 = CHIPS["v5e"], CHIPS["v4"]
    assert v5e.peak == pytest.approx(2 * 4 * 128 * 128 * v5e.clock, rel=0.01)
    assert v4.peak == pytest.approx(2 * 8 * 128 * 128 * v4.clock, rel=0.01)
