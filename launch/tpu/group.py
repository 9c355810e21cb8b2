"""A slice as an instance group of Compute Engine: v5p, v6e, tpu7x.

A group of one host is a template and the group. Hosts of a larger slice are wired by a workload
policy that names the topology, and are created all at once or not at all.
"""

from typing import Any

from launch.tpu.part import ALIVE, GCLOUD, SCOPES, Part, State, flags
from launch.tpu.runner import Arguments
from launch.tpu.spec import LABEL, Spec

IMAGES = "ubuntu-os-accelerator-images"
"""Project of the images for hosts of TPUs."""

BULK = "--target-size-policy-mode=bulk"
"""All hosts or none; older versions of gcloud do not know it."""

_GROUPS = (*GCLOUD, "instance-groups", "managed")
_TEMPLATES = (*GCLOUD, "instance-templates")
_POLICIES = (*GCLOUD, "resource-policies")
_TAKEN = {"TERMINATED", "STOPPED", "STOPPING", "SUSPENDED", "SUSPENDING"}
_DISK = "200GB"


def offers(spec: Spec) -> tuple[Arguments, ...]:
    """Commands that fail where the zone lacks the machines, or there is no image for them."""
    machine = spec.topology.machine_type
    place = flags(project=spec.project, zone=spec.zone)
    return (
        (*GCLOUD, "machine-types", "describe", machine, *place),
        (*GCLOUD, "images", "describe-from-family", _image(spec), *flags(project=IMAGES)),
    )


def parts(spec: Spec) -> tuple[Part, ...]:
    """What is created, in order: the policy if there are several hosts, the template, the group."""
    policy = (_policy(spec),) if spec.topology.hosts > 1 else ()
    return (*policy, _template(spec), _group(spec))


def hosts(spec: Spec) -> Arguments:
    """Command that lists the hosts, for `state` and `ssh`, as JSON."""
    place = flags(project=spec.project, zone=spec.zone)
    return (*_GROUPS, "list-instances", spec.name, *place, "--format=json")


def state(spec: Spec, found: dict[str, Any], listed: list[dict[str, Any]]) -> tuple[State, str]:
    """Of the group, with what Google says.

    Args:
        spec: of the slice.
        found: the group.
        listed: its hosts.
    """
    says = [str(host.get("instanceStatus") or host.get("currentAction")) for host in listed]
    errors = [
        str(error.get("message"))
        for host in listed
        for error in host.get("lastAttempt", {}).get("errors", {}).get("errors", [])
    ]
    told = ", ".join(sorted({*says, *errors})) or "no hosts yet"
    if _TAKEN & set(says):
        return State.GONE, told
    ready = says == ["RUNNING"] * spec.topology.hosts
    return (State.READY if ready else State.WAITING), told


def ready(spec: Spec) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a dry run takes for granted: any part with its mark, and hosts that run."""
    marked = {"description": spec.label, "properties": {"labels": {LABEL: spec.name}}}
    names = [f"{spec.name}-{index:04d}" for index in range(spec.topology.hosts)]
    return marked, [{"instance": name, "instanceStatus": "RUNNING"} for name in names]


def ssh(
    spec: Spec, script: str, listed: list[dict[str, Any]], worker: int | None = None
) -> list[Arguments]:
    """Commands that run a shell script, one for each host, or for one of them.

    Args:
        spec: of the slice.
        script: for the hosts' shell.
        listed: what `hosts` lists.
        worker: index of the one host in the order of names.
    """
    names = sorted(str(host["instance"]).rpartition("/")[2] for host in listed)
    chosen = names if worker is None else names[worker : worker + 1]
    place = flags(project=spec.project, zone=spec.zone)
    which = flags(command=script, tunnel_through_iap=spec.iap, ssh_flag=ALIVE, quiet=True)
    return [(*GCLOUD, "ssh", name, *place, *which) for name in chosen]


def _policy(spec: Spec) -> Part:
    place = flags(project=spec.project, region=spec.region)
    shape = flags(type="HIGH_THROUGHPUT", accelerator_topology=spec.topology.shape)
    create = (*_POLICIES, "create", "workload-policy", spec.name, *place, *shape)
    return Part(
        f"workload policy {spec.name}",
        (*create, f"--description={spec.label}"),
        (*_POLICIES, "describe", spec.name, *place, "--format=json"),
        (*_POLICIES, "delete", spec.name, *place, "--quiet"),
        lambda found: found.get("description"),
        spec.label,
    )


def _template(spec: Spec) -> Part:
    place = flags(project=spec.project)
    about = spec.topology
    create = (
        *(*_TEMPLATES, "create", spec.name, *place),
        *flags(machine_type=about.machine_type, image_family=_image(spec), image_project=IMAGES),
        *("--maintenance-policy=TERMINATE", f"--boot-disk-size={_DISK}", SCOPES),
        # Hyperdisks are the only ones of tpu7x; with 8 chips a host has one thread for each core.
        *flags(boot_disk_type="hyperdisk-balanced" if about.family == "tpu7x" else ""),
        *flags(threads_per_core="1" if about.chips_per_host == 8 else ""),
        *_capacity(spec),
        *flags(service_account=spec.service_account, network=spec.network, no_address=spec.iap),
        f"--labels={spec.label}",
    )
    return Part(
        f"instance template {spec.name}",
        create,
        (*_TEMPLATES, "describe", spec.name, *place, "--format=json"),
        (*_TEMPLATES, "delete", spec.name, *place, "--quiet"),
        lambda found: found.get("properties", {}).get("labels", {}).get(LABEL),
        spec.name,
    )


def _group(spec: Spec) -> Part:
    place = flags(project=spec.project, zone=spec.zone)
    policy = f"projects/{spec.project}/regions/{spec.region}/resourcePolicies/{spec.name}"
    wired = (f"--workload-policy={policy}", BULK) if spec.topology.hosts > 1 else ()
    create = (
        *(*_GROUPS, "create", spec.name, *place),
        *flags(template=spec.name, size=spec.topology.hosts, description=spec.label),
        *("--default-action-on-vm-failure=do-nothing", *wired),
    )
    return Part(
        f"instance group {spec.name}",
        create,
        (*_GROUPS, "describe", spec.name, *place, "--format=json"),
        (*_GROUPS, "delete", spec.name, *place, "--quiet"),
        lambda found: found.get("description"),
        spec.label,
    )


def _capacity(spec: Spec) -> Arguments:
    if spec.capacity == "spot":
        return flags(provisioning_model="SPOT", instance_termination_action="STOP")
    if spec.capacity == "reserved":
        return flags(
            provisioning_model="RESERVATION_BOUND",
            reservation_affinity="specific",
            reservation=spec.reservation,
        )
    return flags(provisioning_model="STANDARD")


def _image(spec: Spec) -> str:
    return spec.runtime or spec.topology.about.image
