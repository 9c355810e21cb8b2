"""What is checked before anything is created: each by a command that costs nothing."""

from launch.tpu import group
from launch.tpu.part import absent
from launch.tpu.runner import Arguments, CommandFailed, Runner, do, name
from launch.tpu.slice import api
from launch.tpu.spec import Spec
from rare_retention.errors import UserError

_CONTINENTS = {"us": "us-", "eu": "europe-", "asia": "asia-"}
"""Regions of buckets that span a continent begin like this."""


def check(spec: Spec, runner: Runner) -> list[str]:
    """Checks the account, project, zone, service account, and the workdir's and cache's buckets.

    Returns:
        Lines for the terminal: what was seen, and what will cost more than it need.

    Raises:
        UserError: something is missing, or the bucket cannot be written.
    """
    _account(runner)
    _project(spec, runner)
    _zone(spec, runner)
    _service_account(spec, runner)
    places = {place.split("/")[2]: place for place in (spec.cache, spec.workdir) if place}
    said = [_bucket(spec, runner, place) for place in places.values()]
    for place in places.values():
        _writable(runner, place)
    who = spec.service_account or "the project's default service account"
    return [line for line in said if line] + [f"hosts act as {who}; `setup` tries its access"]


def probe(place: str) -> str:
    """Object that is written and removed to see whether a folder can be written."""
    return f"{place.rstrip('/')}/launch/probe"


def _account(runner: Runner) -> None:
    ask = ("gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=value(account)")
    if not do(runner, ask, "you").strip():
        raise UserError("gcloud has no account: `gcloud auth login` first")


def _project(spec: Spec, runner: Runner) -> None:
    ask = ("gcloud", "projects", "describe", spec.project, "--format=value(lifecycleState)")
    state = do(runner, ask, "ACTIVE").strip()
    if state != "ACTIVE":
        raise UserError(f"--project={spec.project}: is {state}, not ACTIVE")


def _zone(spec: Spec, runner: Runner) -> None:
    machines, software = api(spec).offers(spec)
    has = ", ".join(spec.topology.about.zones)
    _must(
        runner,
        machines,
        f"--zone={spec.zone}: has no {_last(machines)} for project {spec.project}; "
        f"{spec.topology.family} has been in {has}",
    )
    _must(runner, software, f"--runtime={_last(software)}: is not there")
    if any(group.BULK in part.create for part in api(spec).parts(spec)):
        create = ("gcloud", "compute", "instance-groups", "managed", "create", "--help")
        if "target-size-policy-mode" not in do(runner, create, group.BULK):
            raise UserError(
                f"this gcloud does not know {group.BULK}, which slices of several hosts need: "
                "`gcloud components update`"
            )


def _must(runner: Runner, arguments: Arguments, message: str) -> None:
    """Asks for something that must be there."""
    answer = runner.ask(arguments)
    if answer.code and absent(answer):
        raise UserError(message)
    if answer.code:
        raise CommandFailed(f"{name(arguments)}: {answer.why}")


def _last(arguments: Arguments) -> str:
    """What a command asks for."""
    return name(arguments).split()[-1]


def _service_account(spec: Spec, runner: Runner) -> None:
    if spec.service_account:
        ask = ("gcloud", "iam", "service-accounts", "describe", spec.service_account)
        message = f"--service_account={spec.service_account}: is not there"
        _must(runner, (*ask, f"--project={spec.project}"), message)


def _bucket(spec: Spec, runner: Runner, place: str) -> str:
    """A line about where the bucket is, if that costs; empty if not."""
    bucket = "/".join(place.split("/")[:3])
    ask = ("gcloud", "storage", "buckets", "describe", bucket, "--format=value(location)")
    where = do(runner, ask, spec.region).strip().lower()
    if where == spec.region or spec.region.startswith(_CONTINENTS.get(where, where)):
        return ""
    return f"note: {bucket} is in {where}, the slice in {spec.region}: traffic between them costs"


def _writable(runner: Runner, place: str) -> None:
    do(runner, ("gcloud", "storage", "cp", "-", probe(place), "--quiet"), text="probe")
    do(runner, ("gcloud", "storage", "rm", probe(place), "--quiet"))
