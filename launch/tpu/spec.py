"""What is to be launched: all that the commands of the launcher are made from."""

import re
from dataclasses import dataclass

from launch.tpu.topology import Topology
from rare_retention.errors import UserError

CAPACITIES = ("spot", "on_demand", "reserved")
APIS = ("queued", "group", "gke")
LABEL = "rare-retention"
"""Key of the label that marks what the launcher has created; its value is the slice's name."""


@dataclass(frozen=True)
class Spec:
    """A slice, or several that train together, and the command that runs there.

    Attributes:
        name: of the slice in the project and zone.
        project: ID of the Google Cloud project.
        zone: such as us-west4-a.
        topology: of one slice.
        slices: that train together.
        capacity: `spot` may be taken away at any time, `reserved` is a reservation's.
        api: `queued`, Cloud TPU's queued resources, `group`, Compute Engine's instance groups, or
            `gke`, a cluster of Google Kubernetes Engine.
        reservation: name of the reservation, for instance groups and GKE.
        runtime: runtime version (queued) or family of images (group) in place of the table's.
        service_account: email of the account that the hosts act as; empty for the default one.
        network: of the hosts; empty for the default one.
        iap: hosts have no external addresses and are reached through Identity-Aware Proxy.
        workdir: gs://BUCKET/FOLDER of the study.
        cache: folder of compiled programs; empty for one in the workdir.
        repo: checkout, or address that git can clone.
        ref: commit, branch or tag of it.
        command: launcher and its flags, such as ("launch.study", "--config=...").
        libtpu: value of LIBTPU_INIT_ARGS.

    Raises:
        UserError: a value cannot be what it is for.
    """

    name: str
    project: str
    zone: str
    topology: Topology
    slices: int = 1
    capacity: str = "spot"
    api: str = "queued"
    reservation: str = ""
    runtime: str = ""
    service_account: str = ""
    network: str = ""
    iap: bool = False
    workdir: str = ""
    cache: str = ""
    repo: str = "."
    ref: str = "HEAD"
    command: tuple[str, ...] = ()
    libtpu: str = ""

    def __post_init__(self) -> None:
        _check_names(self)
        _check_places(self)
        _check_capacity(self)
        _check_command(self.command)

    @property
    def region(self) -> str:
        """Of the zone."""
        return self.zone.rpartition("-")[0]

    @property
    def workers(self) -> int:
        """Hosts of all slices."""
        return self.topology.hosts * self.slices

    @property
    def label(self) -> str:
        """KEY=VALUE that marks what the launcher has created."""
        return f"{LABEL}={self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the command runs with."""
        found = {"PYTHONUNBUFFERED": "1"}
        if self.libtpu:
            found["LIBTPU_INIT_ARGS"] = self.libtpu
        if self.cache:
            found["JAX_COMPILATION_CACHE_DIR"] = self.cache
        return found

    @property
    def module(self) -> tuple[str, ...]:
        """What Python runs: `-m launch.study` with its flags, the workdir, and --multihost."""
        joined = ("--multihost",) if self.workers > 1 else ()
        return ("-m", *self.command, f"--workdir={self.workdir}", *joined)

    def need(self, *fields: str) -> None:
        """Checks that fields have values.

        Raises:
            UserError: one has none.
        """
        for field in fields:
            if not getattr(self, field):
                raise UserError(f"--{field} is required here")


def _check_names(spec: Spec) -> None:
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", spec.name):
        raise UserError(
            f"--name={spec.name}: expected at most 40 of a-z, 0-9 and -, a letter first, no - last"
        )
    if spec.project.isdigit():
        raise UserError(
            f"--project={spec.project}: this is a project's number; "
            f"`gcloud projects describe {spec.project}` shows its ID"
        )
    if not re.fullmatch(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]", spec.project):
        raise UserError(
            f"--project={spec.project}: expected a project's ID, 6 to 30 of a-z, 0-9 and -; "
            "`gcloud projects list` shows yours"
        )
    if spec.service_account and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", spec.service_account):
        raise UserError(
            f"--service_account={spec.service_account}: expected an email, as "
            f"trainer@{spec.project}.iam.gserviceaccount.com"
        )


def _check_places(spec: Spec) -> None:
    zones = ", ".join(spec.topology.about.zones)
    if re.fullmatch(r"[a-z]+-[a-z]+\d+", spec.zone):
        raise UserError(
            f"--zone={spec.zone}: this is a region; {spec.topology.family} has been in {zones}"
        )
    if not re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z0-9]+", spec.zone):
        raise UserError(
            f"--zone={spec.zone}: expected a zone; {spec.topology.family} has been in {zones}"
        )
    for flag, place in (("workdir", spec.workdir), ("cache", spec.cache)):
        if place and not re.fullmatch(r"gs://[a-z0-9][-a-z0-9_.]+[a-z0-9](/[^/\s]+)+/?", place):
            raise UserError(f"--{flag}={place}: expected gs://BUCKET/FOLDER, which all hosts see")


def _check_capacity(spec: Spec) -> None:
    about, family = spec.topology.about, spec.topology.family
    if spec.slices < 1:
        raise UserError(f"--slices={spec.slices}: expected at least 1")
    if spec.api == "queued" and not about.runtime:
        raise UserError(f"--api=queued does not serve {family}: --api=group does")
    if spec.api == "group" and not about.image:
        raise UserError(f"--api=group does not serve {family}: --api=queued does")
    if spec.api == "group" and spec.slices > 1:
        raise UserError(
            f"--slices={spec.slices}: instance groups are launched as one slice; --api=queued and "
            "GKE (`python -m launch.tpu jobset`) join several"
        )
    named = spec.api != "queued" and spec.capacity == "reserved"
    if named and not spec.reservation:
        raise UserError("--capacity=reserved: --reservation names the reservation")
    if spec.reservation and not named:
        raise UserError(
            f"--reservation={spec.reservation}: has no effect with --api={spec.api} "
            f"--capacity={spec.capacity}"
        )


def _check_command(command: tuple[str, ...]) -> None:
    if command and not command[0].startswith("launch."):
        raise UserError(
            f"--command={command[0]} ...: expected a launcher first, as launch.study --config=..."
        )
    for word in command:
        flag = word.lstrip("-").partition("=")[0]
        if word.startswith("-") and flag in ("workdir", "multihost"):
            raise UserError(f"--command: leave --{flag} out of it; launch.tpu adds it")
