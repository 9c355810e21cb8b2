"""Keeps a command running on a slice that may be taken away, until it has ended."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from launch.tpu import remote, verbs
from launch.tpu.part import State
from launch.tpu.remote import Told
from launch.tpu.runner import CommandFailed, Dry, Runner
from launch.tpu.slice import Slice, everywhere, look
from launch.tpu.spec import Spec
from launch.tpu.verbs import Say
from rare_retention.errors import UserError
from rare_retention.flags import INTERRUPTED
from rare_retention.hosts import LOST
from rare_retention.wording import plural

AGAIN = {str(INTERRUPTED), str(LOST)}
"""Exit codes after which the same command goes on: it was asked to stop, or a host is gone."""

_TRIES = 5  # in a row, of reaching hosts or of a failure that may turn out a preemption
_SHOWN = 4  # hosts whose log is shown after a failure
_WORDS = ("ended", "running", "none", "lost")


def decide(said: Sequence[Told]) -> Literal["wait", "start", "done", "failed"]:
    """What to do after all hosts have told how the command is.

    A host that lost it, as after a restart, brings the others to an end: they are waited for.

    Args:
        said: by `remote.status`, of each host.
    """
    words = {one.word for one in said}
    codes = {one.rest for one in said if one.word == "ended"}
    if "none" in words:
        return "start"
    if "running" in words:
        return "wait"
    if "lost" in words or codes & AGAIN:
        return "start"
    return "done" if codes == {"0"} else "failed"


@dataclass
class Watch:
    """One watch over a slice.

    Attributes:
        spec: of the slice and the command.
        runner: of the commands.
        say: for lines about what happens.
        pause: seconds between two looks.
        restarts: how often the slice may be made anew.
        absent: whether it may be absent: nobody else has deleted it.
    """

    spec: Spec
    runner: Runner
    say: Say
    pause: float
    restarts: int
    absent: bool = True

    def until_done(self) -> int:
        """Watches until the command has ended; returns 0, or 1 if it has failed.

        Raises:
            UserError: the slice will not come, or somebody else has deleted it.
        """
        if isinstance(self.runner, Dry):
            return self._plan()
        failed = unreached = 0
        while True:
            try:
                verdict = self._step()
                unreached = 0
            except CommandFailed as error:
                verdict = "wait"
                unreached += 1
                self.say(str(error))
                if unreached == _TRIES:
                    raise
            failed = failed + 1 if verdict == "failed" else 0
            if verdict == "done":
                self.say(f"the command has ended well on {plural(self.spec.workers, 'host')}")
                return 0
            if failed == _TRIES:
                return self._failed()
            time.sleep(self.pause)

    def _step(self) -> str:
        """Looks once, and does what is next; returns what `decide` says."""
        found = look(self.spec, self.runner)
        if found.state is State.ABSENT:
            if not self.absent:
                raise UserError(f"slice {self.spec.name} was deleted by somebody else; watch ends")
            found = verbs.create(self.spec, self.runner, self.say, self.pause)
        self.absent = False
        if found.state is State.GONE:
            self._clear(found)
        if found.state is State.FAILED:
            raise UserError(f"slice {self.spec.name} has failed: {found.says}; `delete` clears it")
        if found.state is not State.READY:
            return "wait"
        verdict = decide(everywhere(self.spec, self.runner, found, remote.status(), _WORDS))
        if verdict == "start":
            verbs.setup(self.spec, self.runner, self.say)
            verbs.run(self.spec, self.runner, self.say)
        return verdict

    def _clear(self, found: Slice) -> None:
        """Deletes what is left of a slice that was taken away; it is made anew at the next look."""
        self.say(f"slice {self.spec.name} was taken away ({found.says})")
        if not self.restarts:
            raise UserError(f"slice {self.spec.name} was made anew --restarts times")
        self.restarts -= 1
        verbs.delete(self.spec, self.runner, self.say)
        self.absent = True

    def _failed(self) -> int:
        """Shows the ends of the first hosts' logs."""
        for worker in range(min(self.spec.workers, _SHOWN)):
            verbs.logs(self.spec, self.runner, worker, follow=False, lines=20)
        self.say(
            f"the command has failed; its log is above. Slice {self.spec.name} is still there and "
            "costs: `run` tries again, `delete` ends it"
        )
        return 1

    def _plan(self) -> int:
        """Goes once through what a watch does when nothing happens."""
        found = verbs.create(self.spec, self.runner, self.say, self.pause)
        verbs.setup(self.spec, self.runner, self.say)
        verbs.run(self.spec, self.runner, self.say)
        everywhere(self.spec, self.runner, found, remote.status(), _WORDS)
        return 0
