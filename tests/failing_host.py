"""`launch.study`, but the second process fails by itself: `python -m tests.failing_host ...`."""

import os
import runpy

from rare_retention.record.recorder import Recorder

_record = Recorder.record


def record(self, step, *arguments, **named):
    if step and os.environ["JAX_PROCESS_ID"] == "1":
        raise RuntimeError("this host alone")
    _record(self, step, *arguments, **named)


if __name__ == "__main__":
    Recorder.record = record
    runpy.run_module("launch.study", run_name="__main__")
