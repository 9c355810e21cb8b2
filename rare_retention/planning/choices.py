"""Ways of spreading a run over devices, in the order of what they are likely to cost."""

from collections.abc import Iterator
from typing import NamedTuple, get_args

from rare_retention.config import override
from rare_retention.errors import ConfigError
from rare_retention.experiment import Run
from rare_retention.models.architecture import Compute
from rare_retention.planning.topology import Topology
from rare_retention.settings.language import Language
from rare_retention.train.plan import check_mesh, sizes

# What is computed twice, in operations of a step: whole layers are one pass of three.
_AGAIN = {"none": 0.0, "dots": 0.05, "attention": 0.3, "full": 1 / 3}
_PASSES = {
    "none": 2,
    "dots": 3,
    "attention": 3,
    "full": 3,
}  # in which a layer's weights are gathered
_PIECE = 0.01  # of a step, lost with each doubling of `accumulate`: smaller products
# Of a step, for copying what a loop over layers keeps into stacks and out of them: by the TPU
# compiler's estimate 18% of a step at 300M that keeps products.
_STACKS = {"none": 0.15, "dots": 0.15, "attention": 0.05, "full": 0.02}
_USED = 0.4  # share of the peak, for this comparison


class Choice(NamedTuple):
    """What decides how much memory a step takes and leaves what is learned alone.

    Attributes:
        data: mesh.data.
        fsdp: mesh.fsdp.
        accumulate: pieces of a batch.
        remat: setting.compute.remat; empty where a setting has none.
        unroll: setting.compute.unroll; 0 where a setting has none.
    """

    data: int
    fsdp: int
    accumulate: int
    remat: str
    unroll: int

    def of(self, run: Run) -> Run:
        """The run with these values."""
        changes: dict[str, int | str] = {
            "mesh.data": self.data,
            "mesh.fsdp": self.fsdp,
            "accumulate": self.accumulate,
        }
        if self.remat:
            changes |= {
                "setting.compute.remat": self.remat,
                "setting.compute.unroll": self.unroll,
            }
        return override(run, changes)

    def flags(self, run: Run) -> list[str]:
        """What is to be added to the command of a run for it to have these values."""
        data = run.mesh.data
        own = Choice(data, run.mesh.fsdp, run.accumulate, *_compute(run))
        told = {
            "mesh.data": (self.data, own.data),
            "mesh.fsdp": (self.fsdp, own.fsdp),
            "accumulate": (self.accumulate, own.accumulate),
            "setting.compute.remat": (self.remat, own.remat),
            "setting.compute.unroll": (self.unroll, own.unroll),
        }
        if data == -1:  # what is left, whatever fsdp is
            del told["mesh.data"]
        return [f"--config.run.{name}={new}" for name, (new, old) in told.items() if new != old]


def configured(run: Run, topology: Topology) -> Choice:
    """What the config says.

    Raises:
        ConfigError: it cannot be on these devices.
    """
    check_mesh(run, topology.devices)
    found = run.mesh.sizes(topology.devices)
    return Choice(found["data"], found["fsdp"], run.accumulate, *_compute(run))


def _compute(run: Run) -> tuple[str, int]:
    """What the config says of remat and unroll."""
    if not isinstance(run.setting, Language):
        return "", 0
    return run.setting.compute.remat, run.setting.compute.unroll


def _computes(run: Run, topology: Topology) -> list[tuple[str, int]]:
    """All values of remat and unroll that are looked at.

    Layers one by one on a TPU alone, whose compiler says what that takes.
    """
    if not isinstance(run.setting, Language):
        return [_compute(run)]
    unrolls = {run.setting.compute.unroll}
    if topology.chip.platform == "tpu":
        unrolls.add(max(own.layers for own in run.setting.architectures.values()))
    remats = get_args(Compute.__annotations__["remat"])
    return [(own, layers) for own in remats for layers in sorted(unrolls)]


def choices(run: Run, topology: Topology) -> list[Choice]:
    """All that fit the shapes of a run and the devices, the cheapest first.

    The axes `student` and `model` of the mesh stay as they are.
    """
    found = list(_possible(run, topology))
    weights, flops = sizes(run).parameter_bytes, sizes(run).flops_per_step
    return sorted(found, key=lambda own: seconds(own, weights, flops, topology))


def _possible(run: Run, topology: Topology) -> Iterator[Choice]:
    kept = run.mesh.asked
    rest = topology.devices // (max(kept["student"], 1) * max(kept["model"], 1))
    pieces = 1 if run.setting.draws_inputs else run.batch // rest
    for fsdp in _doublings(rest):
        if not _divides(Choice(rest // fsdp, fsdp, 1, *_compute(run)), run, topology):
            continue
        for compute in _computes(run, topology):
            for accumulate in _doublings(pieces):
                yield Choice(rest // fsdp, fsdp, accumulate, *compute)


def _doublings(most: int) -> list[int]:
    """1, 2, 4, ... as far as they divide it."""
    found, number = [], 1
    while number <= most and most % number == 0:
        found.append(number)
        number *= 2
    return found


def _divides(choice: Choice, run: Run, topology: Topology) -> bool:
    try:
        check_mesh(choice.of(run), topology.devices)
    except ConfigError:
        return False
    return True


def seconds(choice: Choice, weights: float, flops: float, topology: Topology) -> float:
    """About how long a step takes, to compare choices with each other and for nothing else.

    Operations at a share of the peak, and behind them, as if nothing went on at once, weights that
    are gathered and gradients that are summed, over links that send and receive.

    Args:
        choice: how the run is spread.
        weights: bytes of all weights, in float32.
        flops: operations of a step.
        topology: the devices.
    """
    stacks = _STACKS.get(choice.remat, 0.0) if choice.unroll == 1 else 0.0
    again = _AGAIN.get(choice.remat, 0.0) + stacks
    compute = flops * (1 + again) / (_USED * (topology.peak or 1e12))
    slower = (1 + _PIECE) ** (choice.accumulate.bit_length() - 1)
    n, d = choice.fsdp, choice.data
    gathered = weights / 2 * (n - 1) / n * _PASSES.get(choice.remat, 2)
    summed = weights * (n - 1) / n + 2 * weights / n * (d - 1) / d
    link = (topology.chip.link or 1e10) / 2 / topology.chip.devices
    return compute * slower + (gathered + summed) * choice.accumulate / link
