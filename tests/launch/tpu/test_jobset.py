"""A JobSet from a spec."""

import json

import made_slices
import pytest

from launch.tpu.jobset import jobset

SPEC = made_slices.spec(slices=2, api="gke")
IMAGE = "us-docker.pkg.dev/my-project/images/rare"


def pod(spec):
    (job,) = jobset(spec, IMAGE)["spec"]["replicatedJobs"]
    return job["template"]["spec"]["template"]["spec"]


def test_a_job_for_each_slice_and_a_pod_for_each_host():
    made = jobset(SPEC, IMAGE)
    (job,) = made["spec"]["replicatedJobs"]
    inner = job["template"]["spec"]
    assert job["replicas"] == 2 and inner["parallelism"] == inner["completions"] == 4
    assert inner["completionMode"] == "Indexed"
    assert made["metadata"]["labels"] == {"rare-retention": "rare"}


def test_pods_run_the_command_on_all_chips_of_a_host():
    (container,) = pod(SPEC)["containers"]
    assert container["command"] == ["python", *SPEC.module]
    assert container["resources"]["limits"] == {"google.com/tpu": "4"}
    settings = {one["name"]: one["value"] for one in container["env"]}
    assert settings == SPEC.environment


def test_nodes_are_those_of_the_capacity():
    spot, on_demand = pod(SPEC), pod(made_slices.spec(api="gke", capacity="on_demand"))
    assert spot["nodeSelector"]["cloud.google.com/gke-spot"] == "true" and spot["tolerations"]
    assert set(on_demand["nodeSelector"]) == {
        "cloud.google.com/gke-tpu-accelerator",
        "cloud.google.com/gke-tpu-topology",
    }
    reserved = made_slices.spec(api="gke", capacity="reserved", reservation="mine")
    assert pod(reserved)["nodeSelector"]["cloud.google.com/reservation-name"] == "mine"


def test_the_pods_are_as_kubernetes_defines_them():
    """The client drops what it does not know: what comes back is all that went in."""
    client = pytest.importorskip("kubernetes.client")
    (job,) = jobset(SPEC, IMAGE)["spec"]["replicatedJobs"]
    api = client.ApiClient()

    class Sent:
        data = json.dumps(job["template"])

    read = api.deserialize(Sent, "V1JobTemplateSpec")
    assert api.sanitize_for_serialization(read) == job["template"]
