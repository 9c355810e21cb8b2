"""One thing that the launcher creates in a project, and how it is found, marked and deleted."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from launch.tpu.runner import Answer, Arguments, CommandFailed, Runner, name
from rare_retention.errors import UserError

GCLOUD = ("gcloud", "compute")
SCOPES = "--scopes=https://www.googleapis.com/auth/cloud-platform"
"""What hosts may do is then up to the roles of their service account."""
ALIVE = "-oServerAliveInterval=30"
"""Of ssh: hosts that are taken away in the middle of a command are given up after 90 seconds."""


class State(Enum):
    """Of a slice."""

    ABSENT = "absent"
    WAITING = "waiting"
    READY = "ready"
    GONE = "taken away"
    FAILED = "failed"


@dataclass(frozen=True)
class Part:
    """One thing that is created.

    Attributes:
        what: in words, such as "queued resource x".
        create: command that creates it.
        describe: command that prints it as JSON.
        delete: command that deletes it.
        mark: the launcher's mark in that JSON, None if it has none.
        expected: the mark if it was created for this slice.
    """

    what: str
    create: Arguments
    describe: Arguments
    delete: Arguments
    mark: Callable[[dict[str, Any]], object]
    expected: object

    def find(self, runner: Runner, assumed: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """What stands under its name, None if nothing does.

        Args:
            runner: of the commands.
            assumed: what a dry run takes for granted; nothing for None.

        Raises:
            UserError: it stands there and was not created by the launcher.
            CommandFailed: nobody knows.
        """
        answer = runner.ask(self.describe, json.dumps(assumed) if assumed is not None else "")
        if answer.code and absent(answer):
            return None
        if answer.code:
            raise CommandFailed(f"{name(self.describe)}: {answer.why}")
        if not answer.output.strip():  # of a dry run
            return None
        found = json.loads(answer.output)
        if self.mark(found) != self.expected:
            raise UserError(
                f"{self.what} was not created by this launcher (it lacks the mark "
                f"{self.expected}): it is left alone; choose another --name"
            )
        return dict(found)


def absent(answer: Answer) -> bool:
    """Whether a command failed since what it asks for does not exist."""
    errors = answer.errors.lower()
    return "not_found" in errors or "was not found" in errors or "not found" in errors


def flags(**values: object) -> Arguments:
    """`--a-b=value` of each that is neither None, False nor empty; `--a-b` for True."""
    named = {key.replace("_", "-"): value for key, value in values.items()}
    return tuple(
        f"--{key}" if value is True else f"--{key}={value}"
        for key, value in named.items()
        if value is not None and value is not False and value != ""
    )
