"""Writes the versions that `make` installs, with the SHA-256 of each file on every platform.

    python .ci/constraints.py               # the newest that fit together
    python .ci/constraints.py --keep        # those of constraints.txt, where setup.cfg allows them

requirements.txt holds what the package needs, requirements-dev.txt what its tests and docs need
beside it, both with digests; constraints.txt has the versions alone, for installs with extras.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = "3.11"
BY_HAND = ["torch==2.13.0"]  # that `make bench` compares with
WRITTEN = "Written by `make constraints`; setup.cfg has the bounds.\n"
HEADER = {
    "requirements.txt": f"# What the package needs, as `make` installs it. {WRITTEN}",
    "requirements-dev.txt": f"# What tests and docs need beside requirements.txt. {WRITTEN}",
    "constraints.txt": f"# The versions of both requirements files. {WRITTEN}",
}


def compiled(folder: str, extras: list[str], constraints: str) -> str:
    """The pins of one install and their digests, as a requirements file.

    Args:
        folder: of an environment that has uv.
        extras: of setup.cfg.
        constraints: versions that are kept, one pin a line.
    """
    Path(folder, "kept.txt").write_text(constraints)
    Path(folder, "tools.in").write_text("setuptools\n")  # builds the package in place
    options = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    options += [f"--python-version={OLDEST}", f"--constraints={folder}/kept.txt"]
    options += [f"--extra={extra}" for extra in extras]
    uv = [f"{folder}/bin/uv", "pip", "compile", *options, "setup.cfg", f"{folder}/tools.in"]
    return subprocess.check_output(uv, cwd=ROOT, text=True)


def entries(requirements: str) -> list[str]:
    """Each pin with its digests, on several lines."""
    return re.split(r"\n(?=\S)", requirements.rstrip("\n"))


def pin(entry: str) -> str:
    """An entry without its digests."""
    return entry.split("\\\n")[0].strip()


def write(name: str, lines: list[str]) -> None:
    """Writes one of the files."""
    (ROOT / name).write_text(HEADER[name] + "\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="versions of constraints.txt")
    kept = (ROOT / "constraints.txt").read_text() if parser.parse_args().keep else ""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([f"{folder}/bin/python", "-m", "pip", "install", "-q", "uv"], check=True)
        every = entries(compiled(folder, ["test", "docs"], kept))
        base = set(map(pin, entries(compiled(folder, [], "\n".join(map(pin, every))))))
    write("requirements.txt", [entry for entry in every if pin(entry) in base])
    write("requirements-dev.txt", [entry for entry in every if pin(entry) not in base])
    write("constraints.txt", [*map(pin, every), *BY_HAND])
