"""What the page says of runs that were trained on several kinds of machines."""

from rare_retention.record.manifest import Manifest
from rare_retention.report.build import _changes

ONE = {"step": 0, "hardware": {"devices": 1}, "mesh": {"data": 1}, "versions": {"jax": "0.10"}}


def test_only_what_differs_is_said():
    eight = ONE | {"step": 1000, "hardware": {"devices": 8}, "mesh": {"data": 8}}
    newer = ONE | {"versions": {"jax": "0.12"}}
    runs = {
        "a": Manifest(parts=(ONE,)),
        "b": Manifest(parts=(ONE, eight, ONE | {"step": 1500})),
        "c": Manifest(parts=(newer,)),
        "older": Manifest(),
    }
    assert _changes(runs["a"], runs) == [
        "b: devices 8, mesh.data 8 from step 1,000 on",
        "b: devices 1, mesh.data 1 from step 1,500 on",
        "c: jax 0.12 from step 0 on",
    ]
    assert _changes(Manifest(), {"older": Manifest()}) == []
