"""A gcloud for tests: a cloud of one slice in a folder, whose hosts are folders of this machine.

`FAKE_CLOUD` names the folder. In it are calls.jsonl, the arguments of every call; bucket/, what is
on gs://; hosts/N/K/, the home of host K of the N-th slice; and state.json:

    generation: how many slices have been created.
    present, taken: whether there is one, and whether Google has taken it away.
    mark: the label of what is present.
    preempt: after how many questions about the command the first slice is taken away.
    code: exit code of the command on later slices; on the first one it does not end.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HOSTS = 2
GCLOUD = """#!/bin/sh
bucket="$FAKE_CLOUD/bucket"
case "$1 $2 $3 $4" in  # what hosts do
  "storage cp -q -") exec cat > "$bucket/${5##*/}" ;;
  "storage cp -q gs://"*) exec cat "$bucket/${4##*/}" ;;
  "storage rm -q gs://"*) exec rm "$bucket/${4##*/}" ;;
esac
"""
PYTHON = """#!/bin/sh
case "$1 $2" in
  "-c "*) exit 0 ;;
  "-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  "-m pip") exit 0 ;;
  *) echo "trains with $* and $LIBTPU_INIT_ARGS"
     [ -n "$FAKE_CODE" ] || exec sleep 60
     echo page > "$FAKE_CLOUD/bucket/report.html"
     exit "$FAKE_CODE" ;;
esac
"""


def install(folder, **state):
    """Makes the cloud; returns the environment in which `gcloud` is this one."""
    binaries = folder / "bin"
    for part in (binaries, folder / "bucket", folder / "hosts"):
        part.mkdir(parents=True)
    programs = {
        "gcloud": f'{GCLOUD}exec {sys.executable} -S {__file__} "$@"\n',
        "hostname": '#!/bin/sh\necho "$FAKE_HOST"\n',
        "python3.12": PYTHON,
    }
    for name, text in programs.items():
        (binaries / name).write_text(text)
        (binaries / name).chmod(0o755)
    begin = {"generation": 0, "present": False, "taken": False, "preempt": 0, "code": 0}
    (folder / "state.json").write_text(json.dumps(begin | {"mark": None, "asked": 0} | state))
    path = f"{binaries}:{os.environ['PATH']}"
    return os.environ | {"FAKE_CLOUD": str(folder), "PATH": path}


def calls(folder):
    """The arguments of all calls, in order."""
    path = folder / "calls.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kill(folder):
    """Ends what runs on hosts."""
    for path in folder.glob("hosts/*/*/rare-retention-run/pid"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(path.read_text().split()[0]), signal.SIGKILL)


def main(words):
    folder = Path(os.environ["FAKE_CLOUD"])
    with (folder / "calls.jsonl").open("a") as file:
        file.write(json.dumps(words) + "\n")
    path = folder / "state.json"
    state = json.loads(path.read_text())
    code = answer(folder, state, words)
    path.write_text(json.dumps(state))
    return code


def answer(folder, state, words):
    flags = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
    plain = [word for word in words if not word.startswith("-") or word == "-"]
    match plain:
        case ["storage", "cp" | "rm" as verb, *places]:
            return store(folder / "bucket", verb, places)
        case ["storage", *_]:
            print("US-WEST4")
        case ["auth", *_]:
            print("me@example.com")
        case ["projects", *_]:
            print("ACTIVE")
        case ["compute", "tpus", "queued-resources", "create", name]:
            state["generation"] += 1
            state["mark"] = dict([flags["labels"].split("=")]).get("rare-retention")
            state |= {"present": True, "taken": False, "name": name}
        case ["compute", "tpus", "queued-resources", "delete", _]:
            state["present"] = False
            kill(folder)
        case ["compute", "tpus", "queued-resources", "describe", name] if not state["present"]:
            print(f"ERROR: NOT_FOUND: Resource {name} was not found", file=sys.stderr)
            return 1
        case ["compute", "tpus", "queued-resources", "describe", _]:
            labels = {"rare-retention": state["mark"]} if state["mark"] else {}
            says = "SUSPENDED" if state["taken"] else "ACTIVE"
            spec = [{"node": {"labels": labels}}]
            print(json.dumps({"state": {"state": says}, "tpu": {"nodeSpec": spec}}))
        case ["compute", "tpus", "tpu-vm", "list"]:
            print(json.dumps([{"state": "READY"}]))
        case ["compute", "tpus", "queued-resources", "ssh", _]:
            return ssh(folder, state, flags)
    return 0


def store(bucket, verb, places):
    """`gs://my-bucket/x/NAME` is bucket/NAME."""
    own = [bucket / Path(place).name if place.startswith("gs://") else place for place in places]
    if verb == "rm":
        own[0].unlink()
        return 0
    *sources, to = own
    for source in sources:
        if source == "-":
            to.write_bytes(sys.stdin.buffer.read())
        elif not source.exists():
            print(f"ERROR: {source.name} matched no objects", file=sys.stderr)
            return 1
        elif source.is_dir():
            shutil.copytree(source, Path(to) / source.name)
        else:
            shutil.copy(source, to)
    return 0


def ssh(folder, state, flags):
    """Runs the script for each host in a shell of its own."""
    if "tell lost" in flags["command"]:
        state["asked"] += 1
        if state["generation"] == 1 and state["preempt"] and state["asked"] >= state["preempt"]:
            state["taken"] = True
            kill(folder)
            print("ERROR: connection refused", file=sys.stderr)
            return 255
    which = range(HOSTS) if flags["worker"] == "all" else [int(flags["worker"])]
    code = "" if state["generation"] == 1 and state["preempt"] else str(state["code"])
    worst = 0
    for host in which:
        home = folder / "hosts" / str(state["generation"]) / str(host)
        home.mkdir(parents=True, exist_ok=True)
        own = {"HOME": str(home), "FAKE_HOST": f"host-{host}", "FAKE_CODE": code}
        done = subprocess.run(["bash", "-c", flags["command"]], env=os.environ | own, cwd=home)
        worst = worst or done.returncode
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
