"""Creates a Cloud TPU slice, runs a launcher of this project on all its hosts, and deletes it.

Example:
    python -m launch.tpu create --flagfile=slice.flags --dry_run
    python -m launch.tpu watch --flagfile=slice.flags
    python -m launch.tpu fetch --flagfile=slice.flags
    python -m launch.tpu delete --flagfile=slice.flags

where slice.flags has a flag on each line, without quotes:

    --name=rare
    --project=my-project
    --zone=us-west4-a
    --topology=v5e:4x4
    --workdir=gs://my-bucket/quickstart
    --command=launch.study --config=configs/quickstart.py

The verbs: `create` checks account, zone and bucket, creates the slice and waits for it; `setup`
installs this checkout on its hosts; `run` starts the command there; `logs` follows it; `watch` does
all of these, and again whenever the slice is taken away; `fetch` copies the report; `delete`
deletes what was created. `jobset`, `xpk` and `sky` print the same for GKE and SkyPilot. `--dry_run`
prints the commands of a verb, which a shell runs as they are.
"""

import difflib
import shlex
from pathlib import Path

from absl import flags

from launch import common
from launch.tpu import flags as compiler
from launch.tpu import spec as specs
from launch.tpu import verbs
from launch.tpu.runner import Dry, Real, Runner
from launch.tpu.spec import Spec
from launch.tpu.topology import parse
from launch.tpu.watch import Watch
from rare_retention import flags as command_line
from rare_retention.errors import UserError

VERBS = ("create", "setup", "run", "logs", "watch", "fetch", "delete", "jobset", "xpk", "sky")

_NAME = flags.DEFINE_string("name", None, "of the slice, in its project and zone")
_PROJECT = flags.DEFINE_string("project", None, "ID of the Google Cloud project")
_ZONE = flags.DEFINE_string("zone", None, "such as us-west4-a")
_TOPOLOGY = flags.DEFINE_string(
    "topology",
    None,
    "FAMILY:SHAPE of one slice, such as v5e:4x4",
    allow_override=True,  # other launchers have one
)
_SLICES = flags.DEFINE_integer("slices", 1, "slices that train together", allow_override=True)
_CAPACITY = flags.DEFINE_enum("capacity", "spot", specs.CAPACITIES, "what kind of machines")
_API = flags.DEFINE_enum(
    "api", None, specs.APIS[:2], "queued resources, the default where they serve, or instance group"
)
_RESERVATION = flags.DEFINE_string("reservation", "", "name of it, for --capacity=reserved")
_RUNTIME = flags.DEFINE_string("runtime", "", "runtime version or family of images, if not usual")
_ACCOUNT = flags.DEFINE_string("service_account", "", "email of the account that hosts act as")
_NETWORK = flags.DEFINE_string("network", "", "of the hosts, if not the default one")
_IAP = flags.DEFINE_bool("iap", False, "hosts without external addresses, reached through IAP")
_CACHE = flags.DEFINE_string("cache", "", "gs:// folder of compiled programs, if not WORKDIR/xla")
_REPO = flags.DEFINE_string("repo", ".", "checkout, or address that hosts clone")
_REF = flags.DEFINE_string("ref", "HEAD", "commit, branch or tag of it")
_COMMAND = flags.DEFINE_string("command", "", "launcher with its flags, without --workdir")
_LIBTPU = flags.DEFINE_multi_string(
    "libtpu", [], "NAME=VALUE, a flag of the TPU compiler to change or add; none drops all"
)
_WORKER = flags.DEFINE_integer("worker", 0, "host whose log is shown, for logs")
_FOLLOW = flags.DEFINE_bool("follow", True, "show also what is added to the log, for logs")
_INTO = command_line.define_path("into", "report", "folder that fetch copies the report to")
_PAUSE = flags.DEFINE_float("pause", 30.0, "seconds between two looks", lower_bound=0.0)
_RESTARTS = flags.DEFINE_integer("restarts", 100, "how often watch makes a slice anew", 0)
_DELETE = flags.DEFINE_bool("then_delete", False, "watch deletes the slice when all has ended well")
_IMAGE = flags.DEFINE_string("image", "", "container of launch/tpu/Dockerfile, for jobset and xpk")
_CLUSTER = flags.DEFINE_string("cluster", "", "name of the GKE cluster, for xpk")

flags.declare_key_flag("workdir")
flags.declare_key_flag("dry_run")


def main(arguments: list[str]) -> int:
    """Carries out a verb; returns the exit code."""
    verb = arguments[0] if arguments else ""
    if verb not in VERBS or len(arguments) > 1:
        wrong = verb if verb not in VERBS else arguments[1]
        near = difflib.get_close_matches(wrong, VERBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(VERBS)}"
        raise UserError(f"launch.tpu {wrong}: no such verb; {hint}")
    spec = read(verb)
    runner: Runner = Dry() if common.DRY_RUN.value else Real()
    if verb in ("jobset", "xpk", "sky"):
        return _print(verb, spec)
    if common.DRY_RUN.value and spec.api == "group":
        _say("names of hosts stand for those that the instance group will choose")
    try:
        return _carry_out(verb, spec, runner)
    except KeyboardInterrupt:
        print(f"\nstopped looking; slice {spec.name}, if it is there, stays, runs on and costs")
        return common.INTERRUPTED


def read(verb: str) -> Spec:
    """The spec that the flags describe.

    Raises:
        UserError: a flag is missing, or has a value that cannot be.
    """
    for flag in (_NAME, _PROJECT, _ZONE, _TOPOLOGY):
        if not flag.value:
            raise UserError(f"--{flag.name} is required")
    topology = parse(_TOPOLOGY.value or "")
    usual = "queued" if topology.about.runtime else "group"
    try:
        command = tuple(shlex.split(_COMMAND.value))
    except ValueError as error:
        raise UserError(f"--command={_COMMAND.value}: {error}") from None
    return Spec(
        name=_NAME.value or "",
        project=_PROJECT.value or "",
        zone=_ZONE.value or "",
        topology=topology,
        slices=_SLICES.value,
        capacity=_CAPACITY.value,
        api="gke" if verb in ("jobset", "xpk") else _API.value or usual,
        reservation=_RESERVATION.value,
        runtime=_RUNTIME.value,
        service_account=_ACCOUNT.value,
        network=_NETWORK.value,
        iap=_IAP.value,
        workdir=common.WORKDIR.value or "",
        cache=_CACHE.value,
        repo=_REPO.value,
        ref=_REF.value,
        command=command,
        libtpu=compiler.libtpu_init_args(topology.family, _LIBTPU.value),
    )


def _carry_out(verb: str, spec: Spec, runner: Runner) -> int:
    match verb:
        case "create":
            verbs.create(spec, runner, _say, _PAUSE.value)
        case "setup":
            verbs.setup(spec, runner, _say)
        case "run":
            verbs.run(spec, runner, _say)
        case "logs":
            return verbs.logs(spec, runner, _WORKER.value, _FOLLOW.value)
        case "watch":
            spec.need("workdir", "command")
            code = Watch(spec, runner, _say, _PAUSE.value, _RESTARTS.value).until_done()
            if code == 0 and _DELETE.value:
                verbs.delete(spec, runner, _say)
            return code
        case "fetch":
            verbs.fetch(spec, runner, _say, Path(_INTO.value or "."))
        case "delete":
            verbs.delete(spec, runner, _say)
    return 0


def _print(verb: str, spec: Spec) -> int:
    import yaml

    from launch.tpu import xpk
    from launch.tpu.jobset import jobset
    from launch.tpu.sky import task

    spec.need("workdir", "command")
    if verb != "sky" and not _IMAGE.value:
        raise UserError("--image is required here: launch/tpu/Dockerfile makes one")
    if verb == "xpk" and not _CLUSTER.value:
        raise UserError("--cluster is required here")
    if verb == "xpk":
        print(shlex.join(xpk.command(spec, _IMAGE.value, _CLUSTER.value)))
    else:
        made = task(spec) if verb == "sky" else jobset(spec, _IMAGE.value)
        print(yaml.safe_dump(made, sort_keys=False, width=100), end="")
    return 0


def _say(line: str) -> None:
    """Prints a line, in a dry run as a comment among the commands."""
    print(f"# then: {line}" if common.DRY_RUN.value else line, flush=True)


if __name__ == "__main__":
    command_line.run(main)
