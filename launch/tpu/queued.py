"""Slices as queued resources of Cloud TPU's interface: v4, v5e, v5p, v6e, one slice or several."""

from typing import Any

from launch.tpu.part import ALIVE, GCLOUD, SCOPES, Part, State, flags
from launch.tpu.runner import Arguments
from launch.tpu.spec import LABEL, Spec

_TPUS = (*GCLOUD, "tpus")
_QUEUED = (*_TPUS, "queued-resources")
_WAITING = {"SUSPENDING", "DELETING", "ACCEPTED", "CREATING", "PROVISIONING"}
_TAKEN = {"PREEMPTED", "TERMINATED", "STOPPED", "STOPPING"}


def offers(spec: Spec) -> tuple[Arguments, ...]:
    """Commands that fail where the zone lacks the accelerator or the runtime version."""
    return (
        (*_TPUS, "accelerator-types", "describe", spec.topology.accelerator_type, *_place(spec)),
        (*_TPUS, "versions", "describe", _runtime(spec), *_place(spec)),
    )


def parts(spec: Spec) -> tuple[Part, ...]:
    """What is created, in order: the queued resource, which brings its hosts."""
    named = {"node_id": spec.name}
    if spec.slices > 1:
        named = {"node_count": str(spec.slices), "node_prefix": spec.name}
    create = (
        *(*_QUEUED, "create", spec.name, *_place(spec)),
        *_accelerator(spec),
        *flags(runtime_version=_runtime(spec), **named),
        *flags(spot=spec.capacity == "spot", reserved=spec.capacity == "reserved"),
        *flags(service_account=spec.service_account, network=spec.network, internal_ips=spec.iap),
        *(SCOPES, f"--labels={spec.label}", "--quiet"),
    )
    describe = (*_QUEUED, "describe", spec.name, *_place(spec), "--format=json")
    delete = (*_QUEUED, "delete", spec.name, *_place(spec), "--force", "--quiet")
    what = f"queued resource {spec.name}"
    return (Part(what, create, describe, delete, _mark, spec.name),)


def hosts(spec: Spec) -> Arguments:
    """Command that lists the slices, for `state`, as JSON."""
    only = f"--filter=labels.{LABEL}={spec.name}"
    return (*_TPUS, "tpu-vm", "list", *_place(spec), only, "--format=json")


def state(spec: Spec, found: dict[str, Any], listed: list[dict[str, Any]]) -> tuple[State, str]:
    """Of the whole, with what Google says.

    Args:
        spec: of the slices.
        found: the queued resource.
        listed: its slices.
    """
    about = found.get("state", {})
    says = str(about.get("state", "UNKNOWN"))
    taken = sorted({str(slice.get("state")) for slice in listed} & _TAKEN)
    if says == "FAILED":
        error = about.get("failedData", {}).get("error", {})
        return State.FAILED, str(error.get("message", says))
    if says == "SUSPENDED" or (says == "ACTIVE" and taken):
        return State.GONE, ", ".join(taken) or says
    return (State.READY if says == "ACTIVE" else State.WAITING), says


def ready(spec: Spec) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a dry run takes for granted: the resource with its mark, and its slices."""
    node = {"node": {"labels": {LABEL: spec.name}}}
    return {"state": {"state": "ACTIVE"}, "tpu": {"nodeSpec": [node]}}, [{"state": "READY"}]


def ssh(
    spec: Spec, script: str, listed: list[dict[str, Any]], worker: int | None = None
) -> list[Arguments]:
    """Commands that run a shell script on every host, or on one of them.

    Args:
        spec: of the slices.
        script: for the hosts' shell.
        listed: what `hosts` lists.
        worker: index of the one host, slice by slice.
    """
    slice, host = divmod(worker, spec.topology.hosts) if worker is not None else ("all", "all")
    which = flags(worker=str(host), command=script, tunnel_through_iap=spec.iap, ssh_flag=ALIVE)
    return [(*_QUEUED, "ssh", spec.name, *_place(spec), f"--node={slice}", *which, "--quiet")]


def _place(spec: Spec) -> Arguments:
    return flags(project=spec.project, zone=spec.zone)


def _runtime(spec: Spec) -> str:
    return spec.runtime or spec.topology.about.runtime


def _accelerator(spec: Spec) -> Arguments:
    """Of v4, shapes of equal size differ; gcloud takes the shape itself for that family alone."""
    if spec.topology.family == "v4":
        return flags(type="v4", topology=spec.topology.shape)
    return flags(accelerator_type=spec.topology.accelerator_type)


def _mark(found: dict[str, Any]) -> object:
    nodes = found.get("tpu", {}).get("nodeSpec", [])
    marks = {node.get("node", {}).get("labels", {}).get(LABEL) for node in nodes}
    return marks.pop() if len(marks) == 1 else None
