"""The injection study, shrunk and on one device: what most tests of whole runs train."""

from contextlib import contextmanager

from rare_retention.config import override
from rare_retention.experiment import Measurement
from rare_retention.flags import load
from rare_retention.train.state import Blueprint

CHANGES = {
    "run.setting.tasks.inputs": "16",
    "run.setting.tasks.count": "4",
    "run.setting.tasks.block": "4",
    "run.setting.tasks.prior": "()",
    "run.setting.tasks.prior_exponent": "2.0",
    "run.setting.widths": "(2, 8)",
    "run.setting.initialisations": "2",
    "run.exposure.gap": "8",
    "run.batch": "32",
    "run.steps": "48",
    "run.measure.every": "16",
    "run.measure.cycles": "2",
    "run.snapshots.cycles": "1",
    "run.checkpoints.every": "16",
    "run.mesh.data": "1",
    "streams": "1",
}


def study(**changes):
    """The injection study with the changes above and more, `run__steps=8` for `run.steps`."""
    own = {name.replace("__", "."): str(value) for name, value in changes.items()}
    return override(load("configs/synthetic/injection.py"), CHANGES | own)


def run(**changes):
    """Its run, with changes of fields below it: `steps=8`, `measure__every=4`."""
    return study(**{f"run__{name}": value for name, value in changes.items()}).run


def blueprint(traced, optimizer, *, gradients=False, effect=False, accumulate=1):
    """What a step is made of, with instruments as the fields of a run switch them on."""
    tools = Measurement(gradients=gradients, effect=effect).tools
    return Blueprint(traced, optimizer, tools, accumulate=accumulate)


def by_task(traced):
    """Losses of a batch by task alone, [R, K] for each group."""

    def losses(*arguments):
        return {group: own.by_task for group, own in traced.losses(*arguments).items()}

    return losses


@contextmanager
def flipped_bit(checkpoint, undo=True):
    """While entered, one bit of each file of a checkpoint's stored arrays is flipped.

    Of each: files that a write has superseded stay beside the one that is read.
    """
    contents = {path: path.read_bytes() for path in checkpoint.glob("tree/**/d/*")}
    for path, content in contents.items():
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    yield
    if undo:
        for path, content in contents.items():
            path.write_bytes(content)
