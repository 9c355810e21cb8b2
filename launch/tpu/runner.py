"""Who runs the commands of the launcher: this machine, nobody (a dry run), or a test's script."""

import shlex
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from rare_retention.errors import UserError

Arguments = tuple[str, ...]
"""Of one command: the program and what it is given."""

_AT_ONCE = 64  # commands that run side by side


@dataclass(frozen=True)
class Answer:
    """How a command ended.

    Attributes:
        code: its exit code.
        output: what it wrote to stdout.
        errors: what it wrote to stderr.
    """

    code: int = 0
    output: str = ""
    errors: str = ""

    @property
    def why(self) -> str:
        """The last lines of what went wrong, as one."""
        lines = [line.strip() for line in (self.errors or self.output).splitlines()]
        return " ".join([line for line in lines if line][-3:]) or f"exit code {self.code}"


class CommandFailed(UserError):
    """A command failed, or hosts did not answer; the same may succeed later."""


class Runner(Protocol):
    """Runs commands."""

    def ask(self, arguments: Arguments, assumed: str = "", text: str | None = None) -> Answer:
        """Runs a command whose output the launcher reads.

        Args:
            arguments: of the command.
            assumed: the output that a dry run takes for granted.
            text: for its standard input.
        """

    def show(self, arguments: Arguments) -> int:
        """Runs a command whose output goes to the terminal; returns its exit code."""


def do(runner: Runner, arguments: Arguments, assumed: str = "", text: str | None = None) -> str:
    """Runs a command that must succeed; returns its output.

    Raises:
        CommandFailed: it did not, with the last lines of what it said.
    """
    answer = runner.ask(arguments, assumed, text)
    if answer.code:
        raise CommandFailed(f"{name(arguments)}: {answer.why}")
    return answer.output


def together(runner: Runner, commands: Sequence[Arguments], assumed: str = "") -> list[Answer]:
    """Runs commands, on this machine side by side; their answers, in order."""
    if not isinstance(runner, Real):
        return [runner.ask(arguments, assumed) for arguments in commands]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda arguments: runner.ask(arguments, assumed), commands))


def name(arguments: Arguments) -> str:
    """What a command is, without its flags: `gcloud compute tpus queued-resources describe x`."""
    flags = [
        index for index, word in enumerate(arguments) if len(word) > 1 and word.startswith("-")
    ]
    return " ".join(arguments[: min(flags, default=len(arguments))])


class Real:
    """Runs them on this machine."""

    def ask(self, arguments: Arguments, assumed: str = "", text: str | None = None) -> Answer:
        """As `Runner.ask`."""
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, input=text or "")
        except FileNotFoundError:
            raise UserError(_missing(arguments[0])) from None
        return Answer(done.returncode, done.stdout, done.stderr)

    def show(self, arguments: Arguments) -> int:
        """As `Runner.show`."""
        try:
            return subprocess.run(arguments).returncode
        except FileNotFoundError:
            raise UserError(_missing(arguments[0])) from None


class Dry:
    """Prints them, quoted for a shell, and runs nothing."""

    def ask(self, arguments: Arguments, assumed: str = "", text: str | None = None) -> Answer:
        """As `Runner.ask`."""
        fed = f"printf %s {shlex.quote(text)} | " if text is not None else ""
        print(fed + shlex.join(arguments), flush=True)
        return Answer(output=assumed)

    def show(self, arguments: Arguments) -> int:
        """As `Runner.show`."""
        print(shlex.join(arguments), flush=True)
        return 0


@dataclass
class Recorder:
    """Keeps them, and answers as a script says.

    Attributes:
        script: the answer to a command.
        commands: that have been run, in order.
    """

    script: Callable[[Arguments], Answer] = lambda _: Answer()
    commands: list[Arguments] = field(default_factory=list)

    def ask(self, arguments: Arguments, assumed: str = "", text: str | None = None) -> Answer:
        """As `Runner.ask`."""
        self.commands.append(arguments)
        return self.script(arguments)

    def show(self, arguments: Arguments) -> int:
        """As `Runner.show`."""
        return self.ask(arguments).code


def _missing(program: str) -> str:
    where = "; cloud.google.com/sdk/docs/install has it" if program == "gcloud" else ""
    return f"{program} is not installed{where}"
