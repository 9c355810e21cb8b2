"""The same spec for Google Kubernetes Engine: a JobSet."""

from typing import Any

from launch.tpu.spec import LABEL, Spec

RESTARTS = 100
GRACE = 120
"""Seconds for a last checkpoint; spot nodes get less."""

_PORTS = (8471, 8482, 8080)  # of libtpu, of JAX's coordinator, between slices
_GKE = "cloud.google.com"


def jobset(spec: Spec, image: str) -> dict[str, Any]:
    """A JobSet of one job for each slice and one pod for each host.

    Args:
        spec: of the slices and the command.
        image: of a container that the Dockerfile beside this file makes.

    Returns:
        What `kubectl apply` takes, as YAML or JSON.
    """
    chips = str(spec.topology.chips_per_host)
    container = {
        "name": "train",
        "image": image,
        "command": ["python", *spec.module],
        "env": [{"name": key, "value": value} for key, value in spec.environment.items()],
        "ports": [{"containerPort": port} for port in _PORTS],
        "resources": {kind: {"google.com/tpu": chips} for kind in ("requests", "limits")},
    }
    selector = {
        f"{_GKE}/gke-tpu-accelerator": spec.topology.about.gke,
        f"{_GKE}/gke-tpu-topology": spec.topology.shape,
    }
    pod: dict[str, Any] = {"restartPolicy": "Never", "terminationGracePeriodSeconds": GRACE}
    if spec.capacity == "spot":
        selector[f"{_GKE}/gke-spot"] = "true"
        pod["tolerations"] = [{"key": f"{_GKE}/gke-spot", "operator": "Equal", "value": "true"}]
    if spec.reservation:
        selector[f"{_GKE}/reservation-name"] = spec.reservation
    pod |= {"nodeSelector": selector, "containers": [container]}
    hosts = spec.topology.hosts
    job = {"parallelism": hosts, "completions": hosts, "completionMode": "Indexed"}
    job |= {"backoffLimit": 0, "template": {"metadata": {"labels": _label(spec)}, "spec": pod}}
    each = {"name": "slice", "replicas": spec.slices, "template": {"spec": job}}
    apart = {"alpha.jobset.sigs.k8s.io/exclusive-topology": f"{_GKE}/gke-nodepool"}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": spec.name, "labels": _label(spec), "annotations": apart},
        "spec": {"failurePolicy": {"maxRestarts": RESTARTS}, "replicatedJobs": [each]},
    }


def _label(spec: Spec) -> dict[str, str]:
    return {LABEL: spec.name}
