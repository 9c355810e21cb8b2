"""Flags of the TPU compiler that launched runs have, as LIBTPU_INIT_ARGS.

They are those that MaxText trains with: collectives that run beside computation, all-reduces
between slices that overlap with the backward pass, layouts that suit reduce-scatters, and, where a
core has 128 MiB of vector memory, more of it for one operation. No run of this project on a TPU has
been timed with and without them.
"""

from collections.abc import Iterable

from rare_retention.errors import UserError

FLAGS = {
    "xla_tpu_enable_async_collective_fusion": "true",
    "xla_tpu_enable_async_collective_fusion_fuse_all_gather": "true",
    "xla_tpu_enable_async_collective_fusion_multiple_steps": "true",
    "xla_tpu_overlap_compute_collective_tc": "true",
    "xla_enable_async_all_gather": "true",
    "xla_tpu_enable_data_parallel_all_reduce_opt": "true",
    "xla_tpu_data_parallel_opt_different_sized_ops": "true",
    "xla_tpu_use_minor_sharding_for_major_trivial_input": "true",
    "xla_tpu_relayout_group_size_threshold_for_reduce_scatter": "1",
    "xla_tpu_assign_all_reduce_scatter_layout": "true",
}
"""For every family."""

SCOPED_VMEM = "xla_tpu_scoped_vmem_limit_kib"
OF_FAMILY = {"v5e": {SCOPED_VMEM: "98304"}, "v6e": {SCOPED_VMEM: "98304"}}
"""Beside those; other families keep the compiler's own limit."""

NONE = "none"
"""As a change: without any of these flags."""


def libtpu_init_args(family: str, changes: Iterable[str] = ()) -> str:
    """The value of LIBTPU_INIT_ARGS.

    Args:
        family: of the topology, such as v5e.
        changes: each NAME=VALUE, which replaces a flag or adds one, or `none`, which drops all that
            stand before it.

    Returns:
        `--NAME=VALUE` by blanks.

    Raises:
        UserError: a change is neither.
    """
    found = FLAGS | OF_FAMILY.get(family, {})
    for change in changes:
        name, equals, value = change.removeprefix("--").partition("=")
        if change == NONE:
            found = {}
        elif not name.isidentifier() or not equals or not value or set(value) & set(" \t\n'\""):
            raise UserError(f"--libtpu={change}: expected NAME=VALUE or {NONE}")
        else:
            found[name] = value
    return " ".join(f"--{name}={value}" for name, value in found.items())
