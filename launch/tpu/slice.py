"""A slice as it stands in the project: whether it is there, its hosts, and what they say."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from launch.tpu import group, queued, remote
from launch.tpu.part import State
from launch.tpu.runner import CommandFailed, Runner, do, together
from launch.tpu.spec import Spec
from rare_retention.errors import UserError


@dataclass(frozen=True)
class Slice:
    """What Google says of a slice.

    Attributes:
        state: whether it can be used.
        says: in Google's words.
        hosts: as Google lists them.
    """

    state: State
    says: str = ""
    hosts: list[dict[str, Any]] = field(default_factory=list)


def api(spec: Spec) -> ModuleType:
    """The module that creates it: `queued` or `group`.

    Raises:
        UserError: neither does.
    """
    if spec.api == "gke":
        raise UserError("--api=gke: kubectl and xpk create what `jobset` and `xpk` print")
    return group if spec.api == "group" else queued


def look(spec: Spec, runner: Runner) -> Slice:
    """Looks how the slice is.

    Raises:
        UserError: something of its name was not created by the launcher.
    """
    of = api(spec)
    assumed, hosts = of.ready(spec)
    found = of.parts(spec)[-1].find(runner, assumed)
    if found is None:
        return Slice(State.ABSENT)
    listed = json.loads(do(runner, of.hosts(spec), json.dumps(hosts)) or "[]")
    state, says = of.state(spec, found, listed)
    return Slice(state, says, listed)


def usable(spec: Spec, runner: Runner) -> Slice:
    """The slice, which must be ready.

    Raises:
        CommandFailed: it is not, or not now.
    """
    found = look(spec, runner)
    if found.state is not State.READY:
        says = f" ({found.says})" if found.says else ""
        raise CommandFailed(
            f"slice {spec.name} is {found.state.value}{says}; `create` waits until it is ready, "
            "`watch` also makes it anew"
        )
    return found


def everywhere(
    spec: Spec, runner: Runner, found: Slice, script: str, good: Iterable[str]
) -> list[remote.Told]:
    """Runs a script on all hosts.

    Args:
        spec: of the slice.
        runner: of the commands.
        found: the slice.
        script: from `remote`.
        good: words that a host may answer with; a dry run assumes the first.

    Returns:
        What each host has said.

    Raises:
        UserError: a host said another word.
        CommandFailed: a host said nothing.
    """
    words = list(good)
    commands = api(spec).ssh(spec, script, found.hosts)
    each = spec.workers // max(len(commands), 1)
    lines = [f"rare-retention {words[0]} {spec.name}-{index}" for index in range(each)]
    answers = together(runner, commands, "\n".join(lines))
    said = remote.told("\n".join(answer.output for answer in answers))
    for one in said:
        if one.word not in words:
            raise UserError(f"{one.host}: {_wrong(one)}")
    if len(said) < spec.workers:
        failed = next((answer.why for answer in answers if answer.code), "no reason given")
        raise CommandFailed(f"{len(said)} of {spec.workers} hosts have answered: {failed}")
    return said


def _wrong(told: remote.Told) -> str:
    return {
        "busy": "runs another command; `delete` ends it with its slice, or wait for it",
        "bare": "the project is not installed there; `setup` does that",
    }.get(told.word, told.rest or told.word)
