"""Says at which learning rates all sizes of a calibration study gain alike from a shown row.

Example:
    python -m launch.match --workdir=runs/calibration
    python -m launch.match --workdir=runs/calibration --gain=0.002

The study trains all sizes at several learning rates: its grid has the one field optimizer.peak. The
printed flags give a study in which each size has the learning rate of an equal gain: of the level
of the rare task, for each of its rows that is shown, in cycles before any size has learned it.
"""

from collections.abc import Iterator, Mapping, Sequence

import xarray as xr
from absl import flags

from launch import common
from rare_retention import flags as command_line
from rare_retention.errors import ConfigError, UserError
from rare_retention.study import matching
from rare_retention.study.folder import RESULTS
from rare_retention.study.results import load_own

_GAIN = flags.DEFINE_float(
    "gain",
    None,
    "per exposed row, to be matched; by default the smallest size's at the middle peak",
)

flags.declare_key_flag("workdir")


def main(arguments: Sequence[str]) -> int:
    """Prints gains and flags; returns the exit code."""
    from rare_retention.report.figures import data

    common.quieten()
    if arguments:
        raise UserError(f"unexpected argument {arguments[0]!r}; flags are given as --name=VALUE")
    results = load_own(common.workdir() / RESULTS)
    gains = matching.gains(results)
    try:
        found = matching.match(gains, _GAIN.value)
    except ConfigError as error:
        raise UserError(f"--{error}") from None
    for line in _lines(gains, found, data.names(results)):
        print(line)
    return 0


def _lines(
    gains: xr.DataArray, found: matching.Match, names: Mapping[int | str, str]
) -> Iterator[str]:
    peaks = gains[matching.PEAK].to_numpy().tolist()
    yield "gain per exposed row at each peak of the learning rate, and the peak of equal gain"
    yield f"  {'size':<10}" + "".join(f"{peak:<10.3g}" for peak in peaks) + f"{found.gain:.3g} at"
    for size, name in names.items():
        row = "".join(f"{value:<10.3g}" for value in gains.sel(size=size).to_numpy())
        yield f"  {name:<10}{row}{float(found.peaks.sel(size=size)):.3g}"
    yield f"--config.run.optimizer.peak={float(found.peaks[0]):.4g}"
    yield "--config.run.optimizer.relative=" + ",".join(f"{c:.4g}" for c in found.relative)


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    command_line.run(main)
