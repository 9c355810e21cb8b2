"""Starts `launch.study` again and again without importing everything again: reads and answers JSON.

`python tests/faults/forks.py` forks for each line [arguments, file of its stderr] and answers with
the number of the process, and for each line [number] waits for it and answers with its exit code.
"""

import json
import os
import runpy
import sys
import warnings


def study(arguments, said):
    """What the child does: the launcher, as if it had been started by itself."""
    file = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["launch/study.py", *arguments]
    runpy.run_module("launch.study", run_name="__main__")


def main():
    warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # no backend of JAX runs here
    import rare_retention.report.build
    import rare_retention.study.execute
    import rare_retention.train.loop  # noqa: F401

    for line in sys.stdin:
        own = json.loads(line)
        if len(own) == 1:
            _, status = os.waitpid(own[0], 0)
            answer = os.waitstatus_to_exitcode(status)
        elif (answer := os.fork()) == 0:
            try:
                study(*own)
            except SystemExit as error:
                os._exit(error.code or 0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
