"""Queued resources: lists of arguments, and what Google's answers mean."""

import made_slices
import pytest

from launch.tpu import queued
from launch.tpu.part import State


def created(**changes):
    (part,) = queued.parts(made_slices.spec(**changes))
    return part.create


def test_a_spot_slice_is_asked_for_with_its_mark():
    words = created()
    assert words[:6] == ("gcloud", "compute", "tpus", "queued-resources", "create", "rare")
    assert {
        *("--project=my-project", "--zone=us-west4-a", "--accelerator-type=v5litepod-16"),
        *("--runtime-version=v2-alpha-tpuv5-lite", "--node-id=rare", "--spot"),
        *("--labels=rare-retention=rare", "--quiet"),
    } <= set(words)


def test_each_capacity_is_asked_for_as_such():
    assert {"--spot", "--reserved"} & set(created(capacity="on_demand")) == set()
    assert "--reserved" in created(capacity="reserved")


def test_shapes_of_v4_are_asked_for_as_shapes():
    words = created(topology="v4:2x2x4", zone="us-central2-b")
    assert {"--type=v4", "--topology=2x2x4"} <= set(words)
    assert not [word for word in words if word.startswith("--accelerator-type")]


def test_several_slices_are_one_resource():
    words = created(slices=2)
    assert {"--node-count=2", "--node-prefix=rare"} <= set(words) and "--node-id=rare" not in words


def test_accounts_networks_and_runtimes_are_passed_on():
    words = created(service_account="t@p.iam.x.com", network="n", iap=True, runtime="r-1")
    assert {"--service-account=t@p.iam.x.com", "--network=n", "--internal-ips"} <= set(words)
    assert "--runtime-version=r-1" in words


def test_the_mark_is_that_of_all_slices():
    (part,) = queued.parts(made_slices.spec())
    resource, _ = queued.ready(made_slices.spec())
    assert part.mark(resource) == part.expected == "rare"
    assert part.mark({"tpu": {"nodeSpec": [*resource["tpu"]["nodeSpec"], {"node": {}}]}}) is None
    assert part.mark({}) is None


@pytest.mark.parametrize(
    ("says", "slices", "state"),
    [
        ("WAITING_FOR_RESOURCES", [], State.WAITING),
        ("PROVISIONING", ["CREATING"], State.WAITING),
        ("ACTIVE", ["READY"], State.READY),
        ("ACTIVE", [], State.READY),
        ("ACTIVE", ["READY", "PREEMPTED"], State.GONE),
        ("SUSPENDING", ["PREEMPTED"], State.WAITING),
        ("SUSPENDED", [], State.GONE),
        ("FAILED", [], State.FAILED),
    ],
)
def test_googles_words_become_states(says, slices, state):
    listed = [{"state": one} for one in slices]
    assert queued.state(made_slices.spec(), {"state": {"state": says}}, listed)[0] is state


def test_why_it_failed_is_told():
    error = {"state": "FAILED", "failedData": {"error": {"message": "no quota"}}}
    assert queued.state(made_slices.spec(), {"state": error}, []) == (State.FAILED, "no quota")


def test_a_script_runs_on_all_hosts_or_on_one():
    (one,) = queued.ssh(made_slices.spec(), "echo x", [])
    assert one[3:6] == ("queued-resources", "ssh", "rare")
    assert {"--node=all", "--worker=all"} <= set(one)
    assert "--command=echo x" in one and "--tunnel-through-iap" not in one
    (several,) = queued.ssh(made_slices.spec(slices=2, iap=True), "echo x", [], worker=6)
    assert {"--node=1", "--worker=2", "--tunnel-through-iap"} <= set(several)
