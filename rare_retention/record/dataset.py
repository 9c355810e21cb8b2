"""Results on disk: an xarray Dataset as one compressed netCDF-4 file, local or remote."""

from io import BytesIO

import xarray as xr
from etils import epath

from rare_retention.errors import Damaged, UserError
from rare_retention.record import layout, seal
from rare_retention.record.files import write


def save(results: xr.Dataset, path: epath.Path, **about: str) -> None:
    """Writes results in one step.

    Args:
        results: what is written.
        path: where the file is to stand.
        about: what they are, sealed with them.
    """
    coding = {name: {"zlib": True} for name in results.data_vars if results[name].ndim}
    stamped = results.assign_attrs(layout.stamped(results.attrs))
    data = stamped.to_netcdf(engine="h5netcdf", encoding=coding)
    write(path, lambda file: file.write(seal.with_trailer(bytes(data), about)))


def load(path: epath.Path, remedy: str = "rebuild the report", **about: str) -> xr.Dataset:
    """Reads results.

    Args:
        path: of the file.
        remedy: what makes the file again, once a damaged one is deleted.
        about: what they have to be.

    Raises:
        UserError: there are none, the file is damaged, or it is something else or of another
            layout.
    """
    if not path.exists():
        raise UserError(f"{path}: no results; run the study first")
    again = f"delete it and {remedy}"
    data, sealed = seal.without_trailer(path.read_bytes(), about, path, again)
    try:
        found = xr.load_dataset(BytesIO(data), engine="h5netcdf")
    except Exception as error:  # h5py raises whatever the damaged bytes make it raise
        raise Damaged(f"{path}: damaged ({' '.join(str(error).split())}); {again}") from None
    if layout.check(found.attrs, path) >= layout.SEALED and not sealed:
        raise Damaged(f"{path}: damaged, its end is missing; {again}")
    del found.attrs["layout"]
    return found
