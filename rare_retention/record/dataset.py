"""Results on disk: an xarray Dataset as one compressed netCDF-4 file, local or remote."""

from io import BytesIO

import xarray as xr
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import layout
from rare_retention.record.files import write


def save(results: xr.Dataset, path: epath.Path) -> None:
    """Writes results in one step."""
    coding = {name: {"zlib": True} for name in results.data_vars if results[name].ndim}
    stamped = results.assign_attrs(layout.stamped(results.attrs))
    data = stamped.to_netcdf(engine="h5netcdf", encoding=coding)
    write(path, lambda file: file.write(data))


def load(path: epath.Path, remedy: str = "rebuild the report") -> xr.Dataset:
    """Reads results.

    Args:
        path: of the file.
        remedy: what makes the file again, once a damaged one is deleted.

    Raises:
        UserError: there are none, the file is damaged, or it is of another layout.
    """
    if not path.exists():
        raise UserError(f"{path}: no results; run the study first")
    try:
        found = xr.load_dataset(BytesIO(path.read_bytes()), engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"{path}: damaged ({' '.join(str(error).split())}); delete it and {remedy}"
        ) from None
    layout.check(found.attrs, path)
    del found.attrs["layout"]
    return found
