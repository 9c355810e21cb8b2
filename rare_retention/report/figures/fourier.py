"""Fourier modes of modular addition in the residual stream (Fig. 7b)."""

import xarray as xr
from matplotlib.figure import Figure

from rare_retention.evidence import representation
from rare_retention.report.figures import by_size, style


@style.styled()
def fourier_modes(results: xr.Dataset) -> Figure:
    """Modes at the last snapshot, summed over layers, by size and place of the grid."""
    figure, panels = by_size.draw(
        results,
        "modes",
        representation.modes_at_end,
        "Fourier modes of the sum",
        "modes, over all layers",
        {"symbols with random values": "--"},
    )
    for panel in panels:
        panel.set_ylim(bottom=0)
    return figure
