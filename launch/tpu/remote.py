"""Shell scripts for the hosts of a slice: install the project, start its command, tell how it is.

Each ends with a line `rare-retention WORD HOST ...`, so that the launcher can count the hosts that
have answered: gcloud's exit code says nothing of hosts that it did not reach.
"""

import re
import shlex
from dataclasses import dataclass

from launch.tpu.spec import Spec

PYTHON = "3.12"
"""Version that is installed where a host has none that is new enough."""

_PLACES = """
checkout=$HOME/rare-retention-code
python=$HOME/rare-retention-venv/bin/python
run=$HOME/rare-retention-run
tell() { echo "rare-retention $1 $(hostname) ${2:-}"; }
boot() { cat /proc/sys/kernel/random/boot_id; }
alive() {
  [ -f "$run/pid" ] && [ ! -f "$run/code" ] || return 1
  read -r pid since < "$run/pid"
  [ "$since" = "$(boot)" ] && kill -0 "$pid" 2> /dev/null
}
"""

_INSTALL = f"""
for candidate in python3.12 python3.11 python3; do
  enough='import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))'
  "$candidate" -c "$enough" 2> /dev/null && break
  candidate=
done
if [ -n "$candidate" ]; then
  "$candidate" -m venv --clear "$HOME/rare-retention-venv"
else
  sudo apt-get -qq -o DPkg::Lock::Timeout=600 update
  sudo apt-get -qq -o DPkg::Lock::Timeout=600 install -y python3-venv
  python3 -m venv --clear "$HOME/rare-retention-uv"
  "$HOME/rare-retention-uv/bin/pip" install -q uv
  "$HOME/rare-retention-uv/bin/uv" venv -q --clear --seed --python {PYTHON} \\
    "$HOME/rare-retention-venv"
fi
cd "$checkout"
"$python" -m pip install -q -c constraints.txt -e '.[tpu,gcs]'
"""


@dataclass(frozen=True)
class Told:
    """What a host has said.

    Attributes:
        word: how it is.
        host: its name.
        rest: what else it said.
    """

    word: str
    host: str
    rest: str


def told(output: str) -> list[Told]:
    """The lines of hosts in the output of commands."""
    lines = re.findall(r"^rare-retention (\S+) (\S+) ?(.*)$", output, re.MULTILINE)
    return [Told(word, host, rest.strip()) for word, host, rest in lines]


def bundle(spec: Spec, commit: str) -> str:
    """Where the files of a commit are put for the hosts, in the workdir."""
    return f"{spec.workdir.rstrip('/')}/launch/{commit}.tar.gz"


def setup(spec: Spec, commit: str) -> str:
    """Installs the project; does nothing where this commit has been installed, or a command runs.

    Writes to the workdir first: a host that may not do so would find out after a day's training.

    Args:
        spec: of the slice.
        commit: of a checkout whose files have been put into the workdir; empty where hosts clone
            them.
    """
    probe = f"{spec.workdir.rstrip('/')}/launch/probe"
    if commit:
        fetch = f"gcloud storage cp -q {shlex.quote(bundle(spec, commit))} - | tar xz"
    else:
        clone = shlex.join(["git", "clone", "-q", spec.repo, "."])
        fetch = f"{clone} && {shlex.join(['git', 'checkout', '-q', spec.ref])}"
    wanted = shlex.quote(commit or f"{spec.repo} {spec.ref}")
    return f"""set -euo pipefail{_PLACES}
probe={shlex.quote(probe)}-$(hostname)
if ! (echo probe | gcloud storage cp -q - "$probe" && gcloud storage rm -q "$probe"); then
  tell unwritable "its service account cannot write $probe"
  exit 3
fi
installed=$HOME/rare-retention-venv/installed
if [ "$(cat "$installed" 2> /dev/null)" != {wanted} ]; then
  ! alive || {{ tell busy; exit 4; }}
  rm -rf "$checkout" && mkdir -p "$checkout" && cd "$checkout"
  {fetch}
{_INSTALL}
  echo {wanted} > "$installed"
fi
tell installed
"""


def run(spec: Spec) -> str:
    """Starts the command in the background, unless it runs already.

    Its output goes to ~/rare-retention-run/log, its exit code to ~/rare-retention-run/code.
    """
    settings = " ".join(f"{key}={shlex.quote(value)}" for key, value in spec.environment.items())
    command = f'{settings} "$python" {shlex.join(spec.module)}'
    inner = f"""cd "$checkout"
{command}
echo $? > "$run/code.part" && mv "$run/code.part" "$run/code"
"""
    return f"""set -euo pipefail{_PLACES}
mkdir -p "$run"
wanted={shlex.quote(command)}
if alive; then
  [ "$(cat "$run/command")" = "$wanted" ] || {{ tell busy; exit 4; }}
  tell running
  exit 0
fi
[ -x "$python" ] || {{ tell bare; exit 5; }}
rm -f "$run/code"
echo "$wanted" > "$run/command"
date -u '+=== started %Y-%m-%d %H:%M:%S UTC' >> "$run/log"
export checkout python run
nohup setsid bash -c {shlex.quote(inner)} >> "$run/log" 2>&1 < /dev/null &
echo "$! $(boot)" > "$run/pid"
tell started
"""


def status() -> str:
    """Tells `none`, `running`, `ended` with the exit code, or `lost`: it ended without one."""
    return f"""set -uo pipefail{_PLACES}
if [ ! -f "$run/pid" ]; then tell none
elif [ -f "$run/code" ]; then tell ended "$(cat "$run/code")"
elif alive; then tell running
else tell lost
fi
"""


def logs(lines: int, follow: bool) -> str:
    """Shows the end of the log, and what is added to it if it is followed."""
    return f"tail -n {lines} {'-F ' if follow else ''}$HOME/rare-retention-run/log"
