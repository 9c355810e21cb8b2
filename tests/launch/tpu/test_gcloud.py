"""gcloud's own parser takes every list of arguments; it reads them before it asks who one is."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import made_slices
import pytest

from launch.tpu import group, verbs
from launch.tpu.runner import Answer, Dry, name
from launch.tpu.watch import Watch

SPECS = [
    made_slices.spec(service_account="t@my-project.iam.gserviceaccount.com", network="n", iap=True),
    made_slices.spec("v4:2x2x2", capacity="reserved", slices=2, zone="us-central2-b"),
    made_slices.spec("v5p:2x2x2", capacity="on_demand", cache="gs://other/xla"),
    made_slices.spec("v6e:4x4", api="group", iap=True, network="n", zone="us-east5-b"),
    made_slices.spec("v6e:2x4", api="group", capacity="on_demand", zone="us-east5-b"),
    made_slices.spec("tpu7x:2x2x2", capacity="reserved", reservation="r", zone="us-central1-c"),
]


REPORT = Path(tempfile.gettempdir())  # gcloud looks whether it is there


class Plan(Dry):
    """A dry run that keeps what others print."""

    def __init__(self):
        self.commands = []

    def ask(self, arguments, assumed="", text=None):
        self.commands.append(arguments)
        return Answer(output=assumed)

    def show(self, arguments):
        return self.ask(arguments).code


def commands():
    """Each command once, by its name and the flags that it has."""
    plan = Plan()
    for spec in SPECS:
        Watch(spec, plan, lambda line: None, 0, 1).until_done()
        verbs.logs(spec, plan, 0, follow=True)
        verbs.fetch(spec, plan, lambda line: None, REPORT)
        verbs.delete(spec, plan, lambda line: None)
    found = {}
    for words in plan.commands:
        flags = [word.partition("=")[0] for word in words if word.startswith("--")]
        key = (*[word for word in name(words).split() if word != "rare"], *flags)
        if words[0] == "gcloud":
            found.setdefault(key, words)
    return list(found.values())


@pytest.fixture(scope="module")
def gcloud(tmp_path_factory):
    """Calls gcloud as somebody without an account."""
    if shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed")
    own = {"CLOUDSDK_CONFIG": str(tmp_path_factory.mktemp("config"))}
    own |= {"HOME": own["CLOUDSDK_CONFIG"], "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}

    def call(words):
        run = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        return subprocess.run(words, env=os.environ | own, **run)

    return call


@pytest.mark.slow
@pytest.mark.parametrize("words", commands(), ids=lambda words: name(words)[7:].replace(" ", "-"))
def test_gcloud_takes_the_arguments(words, gcloud):
    done = gcloud(words)
    if group.BULK in words and "release tracks" in done.stderr:  # an older gcloud
        done = gcloud(("gcloud", "alpha", *words[1:]))
    assert done.returncode == 0 or "active account" in done.stderr, done.stderr


@pytest.mark.slow
def test_gcloud_refuses_what_it_does_not_know(gcloud):
    (create,) = [words for words in commands() if "queued-resources" in words and "--spot" in words]
    done = gcloud((*create, "--spott"))
    assert done.returncode == 2 and "unrecognized arguments: --spott" in done.stderr
