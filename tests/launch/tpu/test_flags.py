"""Flags of the TPU compiler."""

import pytest

from launch.tpu.flags import FLAGS, SCOPED_VMEM, libtpu_init_args
from launch.tpu.topology import FAMILIES
from rare_retention.errors import UserError


def read(value):
    return dict(word.removeprefix("--").split("=") for word in value.split())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_the_common_flags(family):
    found = read(libtpu_init_args(family))
    assert found.items() >= FLAGS.items()
    assert (SCOPED_VMEM in found) == (family in ("v5e", "v6e"))


def test_a_change_replaces_or_adds():
    found = read(libtpu_init_args("v5e", [f"{SCOPED_VMEM}=65536", "--xla_new=1"]))
    assert found[SCOPED_VMEM] == "65536" and found["xla_new"] == "1"
    assert len(found) == len(FLAGS) + 2


def test_none_drops_what_stands_before_it():
    assert libtpu_init_args("v5e", ["xla_a=1", "none", "xla_b=2"]) == "--xla_b=2"
    assert libtpu_init_args("v5e", ["none"]) == ""


@pytest.mark.parametrize("change", ["xla_a", "xla_a=", "=1", "xla a=1", "xla_a=1 2", "xla_a='1'"])
def test_what_is_no_flag_is_refused(change):
    with pytest.raises(UserError, match=r"expected NAME=VALUE or none"):
        libtpu_init_args("v5e", [change])
