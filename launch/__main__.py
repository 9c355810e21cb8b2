"""All launchers behind one name: `rare-retention study ...` is `python -m launch.study ...`.

Example:
    rare-retention study --config=configs.quickstart --workdir=quickstart
"""

import difflib
import runpy
import sys
from pathlib import Path

_HERE = Path(__file__).parent
NAMES = sorted(
    {path.stem for path in _HERE.glob("[!_]*.py") if path.stem != "common"}
    | {path.parent.name for path in _HERE.glob("*/__main__.py")}
)
"""Of the launchers: modules, and packages that can be run."""


def main() -> None:
    """Runs the launcher that the first argument names, with the others as its own."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(f"rare-retention NAME --help, where NAME is one of {', '.join(NAMES)}")
        sys.exit(0)
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(NAMES)}"
        print(f"rare-retention {name}: no such launcher; {hint}", file=sys.stderr)
        sys.exit(2)
    runpy.run_module(f"launch.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
