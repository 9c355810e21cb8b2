"""Writes constraints.txt: what a fresh install of `.[test,docs]` takes today, on each Python given.

    python .ci/constraints.py python3.11 python3.12

Versions that differ get a marker; the oldest and the newest Python given stand for those beyond.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Versions that `make` installs. Written by `make constraints`; setup.cfg has the bounds.
"""


def freeze(python: str) -> tuple[str, dict[str, str]]:
    """Installs into a throw-away environment: Python's version, name -> version."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--upgrade", "pip", "setuptools"], check=True)
        subprocess.run(
            [*pip, "install", "--no-build-isolation", "-e", f"{ROOT}[test,docs]"], check=True
        )
        ask = "import sys; print('%d.%d' % sys.version_info[:2])"
        version = subprocess.check_output([pip[0], "-c", ask], text=True).strip()
        lines = subprocess.check_output([*pip, "freeze", "--all", "--exclude-editable"], text=True)
    pins = (line.partition("==")[::2] for line in lines.splitlines() if "==" in line)
    return version, {re.sub(r"[-_.]+", "-", name).lower(): pin for name, pin in pins}


def merge(frozen: dict[str, dict[str, str]]) -> list[str]:
    """One line a package where all Pythons agree, one for each Python with its marker elsewhere."""
    pythons = sorted(frozen, key=lambda version: tuple(map(int, version.split("."))))
    lines = []
    for name in sorted({name for pins in frozen.values() for name in pins}):
        versions = {python: frozen[python].get(name) for python in pythons}
        if len(set(versions.values())) == 1:
            lines.append(f"{name}=={versions[pythons[0]]}")
            continue
        for i, (python, version) in enumerate(versions.items()):
            above = [f'python_version >= "{python}"'] if i > 0 else []
            below = [f'python_version < "{pythons[i + 1]}"'] if i + 1 < len(pythons) else []
            if version:
                lines.append(f"{name}=={version}; {' and '.join(above + below)}")
    return lines


if __name__ == "__main__":
    frozen = dict(freeze(python) for python in sys.argv[1:] or [sys.executable])
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(merge(frozen)) + "\n")
