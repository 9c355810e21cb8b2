"""Prints the script of a SLURM job array in which every job is a worker of one study.

Example:
    python -m launch.on_slurm --workers=8 --gpus=1 --sbatch=--time=24:00:00 -- \
        --config=configs/olmo/gap.py --workdir=/shared/gap > gap.sbatch && sbatch gap.sbatch

What stands after `--` is for `launch.worker`, as it is. A worker whose time is nearly over saves,
and its job is queued again. With --nodes=2 a worker has two hosts, and needs --multihost.
"""

import shlex
import sys

from absl import flags

from launch import _workers
from rare_retention import flags as command_line
from rare_retention.hosts import LOST

_NODES = flags.DEFINE_integer("nodes", 1, "nodes of a worker", lower_bound=1)
_SBATCH = flags.DEFINE_multi_string("sbatch", [], "another option, as in --sbatch=--partition=x")

flags.adopt_module_key_flags(_workers)

_OPTIONS = ["--requeue", "--open-mode=append", "--output=%x-%A_%a.out", "--signal=B:USR1@300"]
_SCRIPT = """\
#!/bin/bash
{options}

# The worker's code is kept in a file: bash forgets that of a child that ends while a trap runs.
kept=$(mktemp)
{{ trap : TERM; srun {command}; echo $? >"$kept"; }} &
worker=$!
# Near its limit the worker, not srun, is told to save; of one that is cancelled it hears by itself.
again=
trap 'again=yes; scancel --signal=TERM "$SLURM_JOB_ID"' USR1
trap : TERM
while kill -0 "$worker" 2>/dev/null; do wait "$worker"; done  # a signal ends `wait` alone
code=$(cat "$kept"); rm -f "$kept"
code=${{code:-1}}
[ "$code" -eq {lost} ] && again=yes  # a process of it is gone, and the others have left
if [ -n "$again" ] && [ "$code" -ne 0 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
"""


def main(worker: list[str]) -> int:
    """Prints the script; returns the exit code."""
    count, gpus = _workers.count(worker), _workers.GPUS.value
    own = ["--job-name=study", f"--array=0-{count - 1}", f"--nodes={_NODES.value}"]
    own += ["--ntasks-per-node=1", *([f"--gpus-per-node={gpus}"] * (gpus > 0))]
    options = "\n".join(f"#SBATCH {option}" for option in [*own, *_OPTIONS, *_SBATCH.value])
    command = shlex.join([sys.executable, "-m", "launch.worker", *worker])
    print(_SCRIPT.format(options=options, command=command, lost=LOST), end="")
    return 0


if __name__ == "__main__":
    flags.mark_flag_as_required("workers")
    command_line.run(main)
