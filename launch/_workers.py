"""What launchers of several workers share: how many, with which devices, told what."""

from collections.abc import Sequence

from absl import flags

from rare_retention.errors import UserError

WORKERS = flags.DEFINE_integer("workers", None, "how many workers share the study", lower_bound=1)
GPUS = flags.DEFINE_integer("gpus", 0, "GPUs of each worker, on each of its machines", 0)


def count(arguments: Sequence[str]) -> int:
    """How many workers are to be started, once what they are to be told is checked.

    Args:
        arguments: what stood after `--`, for `launch.worker`.

    Raises:
        UserError: they are missing.
    """
    if not any(argument.lstrip("-").startswith("workdir") for argument in arguments):
        raise UserError("the worker's own flags are missing: ... -- --workdir=FOLDER")
    return WORKERS.value or 1
