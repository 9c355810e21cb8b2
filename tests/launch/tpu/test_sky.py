"""A task of SkyPilot from a spec."""

import made_slices
import pytest
import yaml

from launch.tpu.sky import task
from rare_retention.errors import UserError


def test_a_task_has_the_slice_and_the_command():
    made = task(made_slices.spec())
    assert made["resources"]["accelerators"] == "tpu-v5litepod-16:1"
    assert made["resources"]["infra"] == "gcp/us-west4/us-west4-a"
    assert made["run"].endswith("--workdir=gs://my-bucket/quickstart --multihost")
    assert made["envs"]["LIBTPU_INIT_ARGS"] == "--xla_a=true --xla_b=1"


@pytest.mark.parametrize("changes", [{"slices": 2}, {"topology": "tpu7x:2x2x2"}])
def test_what_skypilot_does_not_launch_is_refused(changes):
    with pytest.raises(UserError, match="SkyPilot has no such"):
        task(made_slices.spec(**changes))


@pytest.mark.parametrize("topology", ["v4:2x2x2", "v5e:4x4", "v5p:2x2x2", "v6e:4x4"])
def test_skypilot_reads_it(topology, tmp_path):
    sky = pytest.importorskip("sky")
    path = tmp_path / "task.yaml"
    path.write_text(yaml.safe_dump(task(made_slices.spec(topology, repo=str(tmp_path)))))
    (resources,) = sky.Task.from_yaml(str(path)).resources
    spec = made_slices.spec(topology)
    assert resources.use_spot and resources.zone == spec.zone
    assert list(resources.accelerators) == [f"tpu-{spec.topology.accelerator_type}"]
    assert resources.accelerator_args["runtime_version"] == spec.topology.about.runtime
