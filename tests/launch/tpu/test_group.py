"""Instance groups: lists of arguments, and what Google's answers mean."""

import made_slices
import pytest

from launch.tpu import group
from launch.tpu.part import State

WIDE = {"topology": "v6e:4x4", "api": "group", "zone": "us-east5-b"}


def spec(**changes):
    return made_slices.spec(**(WIDE | changes))


def created(**changes):
    return {part.what.split()[1]: part.create for part in group.parts(spec(**changes))}


def test_hosts_of_a_slice_are_wired_and_come_together():
    words = created()
    assert list(words) == ["policy", "template", "group"]
    assert {"--accelerator-topology=4x4", "--region=us-east5"} <= set(words["policy"])
    assert "--machine-type=ct6e-standard-4t" in words["template"]
    policy = "--workload-policy=projects/my-project/regions/us-east5/resourcePolicies/rare"
    assert {policy, group.BULK, "--size=4", "--template=rare"} <= set(words["group"])


def test_one_host_needs_no_wires():
    words = created(topology="v6e:2x4")
    assert list(words) == ["template", "group"]
    assert group.BULK not in words["group"] and "--size=1" in words["group"]
    assert "--machine-type=ct6e-standard-8t" in words["template"]
    assert "--threads-per-core=1" in words["template"]


def test_each_capacity_is_asked_for_as_such():
    assert "--provisioning-model=SPOT" in created()["template"]
    assert "--provisioning-model=STANDARD" in created(capacity="on_demand")["template"]
    reserved = created(capacity="reserved", reservation="mine")["template"]
    assert {"--reservation-affinity=specific", "--reservation=mine"} <= set(reserved)


def test_tpu7x_has_its_own_image_and_disks():
    template = created(topology="tpu7x:2x2x2", zone="us-central1-c")["template"]
    assert "--image-family=ubuntu-accel-2404-amd64-tpu-tpu7x" in template
    assert "--boot-disk-type=hyperdisk-balanced" in template


def test_all_parts_are_marked():
    marked, _ = group.ready(spec())
    for part in group.parts(spec()):
        assert part.mark(marked) == part.expected
        assert part.mark({"description": "other", "properties": {}}) != part.expected


@pytest.mark.parametrize(
    ("hosts", "state"),
    [
        ([], State.WAITING),
        ([{"currentAction": "CREATING"}] * 4, State.WAITING),
        ([{"instanceStatus": "RUNNING"}] * 3, State.WAITING),
        ([{"instanceStatus": "RUNNING"}] * 4, State.READY),
        ([{"instanceStatus": "RUNNING"}] * 3 + [{"instanceStatus": "TERMINATED"}], State.GONE),
        ([{"instanceStatus": "STOPPING"}] * 4, State.GONE),
    ],
)
def test_hosts_make_the_state(hosts, state):
    assert group.state(spec(), {}, hosts)[0] is state


def test_why_a_host_does_not_come_is_told():
    errors = {"errors": {"errors": [{"message": "no capacity"}]}}
    host = {"currentAction": "CREATING", "lastAttempt": errors}
    assert group.state(spec(), {}, [host])[1] == "CREATING, no capacity"


def test_a_script_runs_on_each_host_or_on_one():
    hosts = [{"instance": f"zones/z/instances/rare-{name}"} for name in "ba"]
    assert [one[3] for one in group.ssh(spec(), "echo x", hosts)] == ["rare-a", "rare-b"]
    (second,) = group.ssh(spec(iap=True), "echo x", hosts, worker=1)
    assert second[3] == "rare-b" and "--tunnel-through-iap" in second
