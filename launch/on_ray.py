"""Has the machines of a Ray cluster share a study: every task is a worker with its own devices.

Examples:
    python -m launch.on_ray --workers=8 --gpus=1 -- --config=configs/olmo/gap.py \
        --workdir=gs://bucket/gap
    python -m launch.on_ray --workers=4 --tpu=v6e:4x4 -- --workdir=gs://bucket/gap --multihost

What stands after `--` is for `launch.worker`, as it is. The code has to be on every machine, and
the extra `ray`. A worker that was killed, or whose machine is gone, is started again.
"""

import subprocess
import sys

from absl import flags

from launch import _workers
from rare_retention import flags as command_line

_CPUS = flags.DEFINE_float("cpus", 1, "CPUs of each", lower_bound=0)
_TPU = flags.DEFINE_string("tpu", None, "TPU slice of each, as in v6e:4x4")

flags.adopt_module_key_flags(_workers)


def work(arguments: list[str]) -> int:
    """Runs a worker to its end; returns its exit code.

    Raises:
        RuntimeError: it was killed or interrupted, and is to be started again.
    """
    code = subprocess.call([sys.executable, "-m", "launch.worker", *arguments])
    if code not in (0, 1, 2):  # finished, units have failed, or a mistake in the arguments
        raise RuntimeError(f"the worker was stopped (exit code {code})")
    return code


def main(worker: list[str]) -> int:
    """Starts the tasks and waits for them; returns the exit code."""
    count = _workers.count(worker)
    import ray

    ray.init(ignore_reinit_error=True)
    task = ray.remote(max_retries=100, retry_exceptions=True)(work)
    if _TPU.value:
        from ray.util.tpu import run_on_slice

        version, _, topology = _TPU.value.partition(":")
        on = {"accelerator_version": version, "topology": topology}
        each = [run_on_slice(task, worker, **on) for _ in range(count)]
    else:
        own = task.options(num_cpus=_CPUS.value, num_gpus=_workers.GPUS.value)
        each = [[own.remote(worker)] for _ in range(count)]
    return max(max(ray.get(hosts)) for hosts in each)


if __name__ == "__main__":
    flags.mark_flag_as_required("workers")
    command_line.run(main)
