"""Specs of slices for tests."""

from launch.tpu.spec import Spec
from launch.tpu.topology import parse


def spec(topology="v5e:4x4", **changes):
    """A spec of a small study, with changes."""
    usual = {
        "name": "rare",
        "project": "my-project",
        "zone": "us-west4-a",
        "workdir": "gs://my-bucket/quickstart",
        "command": ("launch.study", "--config=configs/quickstart.py"),
        "repo": "https://example.com/rare.git",
        "libtpu": "--xla_a=true --xla_b=1",
        "api": "queued" if parse(topology).about.runtime else "group",
    }
    return Spec(topology=parse(topology), **(usual | changes))
