"""The same spec for xpk, which creates workloads in clusters of GKE that it has made."""

import shlex

from launch.tpu.jobset import GRACE, RESTARTS
from launch.tpu.runner import Arguments
from launch.tpu.spec import Spec


def command(spec: Spec, image: str, cluster: str) -> Arguments:
    """Command that creates the workload.

    Args:
        spec: of the slices and the command.
        image: of a container that the Dockerfile beside this file makes.
        cluster: name of it.
    """
    settings = [f"--env={key}={value}" for key, value in spec.environment.items()]
    return (
        *("xpk", "workload", "create", f"--workload={spec.name}", f"--cluster={cluster}"),
        *(f"--project={spec.project}", f"--zone={spec.zone}"),
        *(f"--tpu-type={spec.topology.accelerator_type}", f"--num-slices={spec.slices}"),
        *(f"--docker-image={image}", f"--max-restarts={RESTARTS}", _capacity(spec)),
        *(f"--termination-grace-period-seconds={GRACE}", *settings),
        f"--command={shlex.join(['python', *spec.module])}",
    )


def _capacity(spec: Spec) -> str:
    """For clusters that make their nodes when they are asked for."""
    if spec.capacity == "reserved":
        return f"--reservation={spec.reservation}"
    return "--spot" if spec.capacity == "spot" else "--on-demand"
