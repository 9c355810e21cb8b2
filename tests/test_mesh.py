"""Shapes of meshes, by numbers of devices."""

import pytest

from rare_retention.errors import ConfigError
from rare_retention.mesh import AXES, MeshShape


@pytest.mark.parametrize(
    ("student", "data", "devices", "expected"),
    [
        (1, -1, 8, (1, 8)),
        (2, -1, 8, (2, 4)),
        (-1, 2, 8, (4, 2)),
        (-1, 8, 8, (1, 8)),
        (2, 4, 8, (2, 4)),
        (1, -1, 1, (1, 1)),
        (3, -1, 6, (3, 2)),
        (2, 3, 8, (2, 3)),
        (1, 1, 8, (1, 1)),
    ],
)
def test_sizes_fit_the_devices(student, data, devices, expected):
    """-1 takes what is left; explicit sizes may leave devices unused."""
    sizes = MeshShape(student=student, data=data).sizes(devices)
    assert tuple(sizes) == AXES
    assert tuple(sizes.values()) == (*expected, 1, 1)


@pytest.mark.parametrize(
    ("student", "data", "message"),
    [
        (0, -1, "student: expected -1 or at least 1, got 0"),
        (1, -2, "data: expected -1 or at least 1, got -2"),
        (-1, -1, "data: only one axis may be -1"),
        (3, -1, "student: a mesh of 3 x -1 x 1 x 1 does not fit 8 devices"),
        (-1, 16, "16 x 1 x 1 does not fit 8 devices"),
        (4, 4, "student: a mesh of 4 x 4 x 1 x 1 does not fit 8 devices"),
        (1, 9, "data: a mesh of 1 x 9 x 1 x 1 does not fit 8 devices"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(student, data, message):
    """One line, which names the field."""
    with pytest.raises(ConfigError, match=message) as error:
        MeshShape(student=student, data=data).sizes(8)
    assert "\n" not in str(error.value)


def test_what_is_asked_for_is_as_it_was_declared():
    asked = MeshShape(fsdp=4).asked
    assert tuple(asked) == AXES and asked["data"] == -1 and asked["fsdp"] == 4
