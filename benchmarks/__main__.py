"""Runs benchmarks by name, all of them by default: `python -m benchmarks [name ...]`."""

import argparse

from benchmarks import exact_inputs, gradient_evidence, language_step, synthetic_step, token_loader
from benchmarks.timing import machine

BENCHMARKS = {
    "synthetic_step": synthetic_step,
    "language_step": language_step,
    "exact_inputs": exact_inputs,
    "token_loader": token_loader,
    "gradient_evidence": gradient_evidence,
}


def main() -> None:
    """Parses the command line and runs what it names."""
    listed = "\n".join(
        f"  {name}: {str(b.__doc__).split(chr(10))[0]}" for name, b in BENCHMARKS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Times arms side by side.\n\nbenchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="name", help="benchmarks to run; default: all")
    parser.add_argument("--repeats", type=int, default=5, help="times each arm runs; default: 5")
    parser.add_argument("--steps", type=int, default=64, help="steps of a call; default: 64")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; expected one of {', '.join(BENCHMARKS)}")
    if arguments.repeats < 5 or arguments.steps < 2:
        parser.error("expected --repeats of at least 5 and --steps of at least 2")
    print(machine())
    for name in arguments.names or BENCHMARKS:
        print(f"\n{name}")
        BENCHMARKS[name].main(arguments.repeats, arguments.steps)


if __name__ == "__main__":
    main()
