"""The same spec as a task of SkyPilot, which looks for a slice, and for another when it is lost."""

import shlex
from typing import Any

from launch.tpu.spec import LABEL, Spec
from rare_retention.errors import UserError

_RECIPE = """test -d .venv || python3 -m venv .venv
.venv/bin/python -m pip install -q -c constraints.txt -e '.[tpu,gcs]'"""


def task(spec: Spec) -> dict[str, Any]:
    """A task, for `sky jobs launch`.

    Args:
        spec: of the slice and the command.

    Returns:
        What SkyPilot reads as YAML.

    Raises:
        UserError: SkyPilot does not launch it.
    """
    if not spec.topology.about.runtime or spec.slices > 1:
        raise UserError(f"--topology={spec.topology} --slices={spec.slices}: SkyPilot has no such")
    return {
        "name": spec.name,
        "workdir": spec.repo,
        "resources": {
            "infra": f"gcp/{spec.region}/{spec.zone}",
            "accelerators": f"tpu-{spec.topology.accelerator_type}:1",
            "accelerator_args": {"runtime_version": spec.runtime or spec.topology.about.runtime},
            "use_spot": spec.capacity == "spot",
            "labels": {LABEL: spec.name},
        },
        "envs": spec.environment,
        "setup": _RECIPE,
        "run": f".venv/bin/python {shlex.join(spec.module)}",
    }
