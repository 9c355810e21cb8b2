"""All launchers behind one name: `rare-retention study ...` is `python -m launch.study ...`.

Example:
    rare-retention study --config=configs.quickstart --workdir=quickstart
"""

import runpy
import sys
from pathlib import Path

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("[!_]*.py") if path.stem != "common"
)
"""Of the launchers."""


def main() -> None:
    """Runs the launcher that the first argument names, with the others as its own."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        wanted = len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help")
        print(
            f"rare-retention NAME --help, where NAME is one of {', '.join(NAMES)}",
            file=sys.stdout if wanted else sys.stderr,
        )
        sys.exit(0 if wanted else 2)
    name = sys.argv.pop(1)
    runpy.run_module(f"launch.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
