"""What is checked before anything is created."""

import made_slices
import pytest

from launch.tpu import checks, group
from launch.tpu.runner import Answer, Recorder
from rare_retention.errors import UserError

GOOD = {
    ("auth", "list"): Answer(output="me@example.com\n"),
    ("projects", "describe"): Answer(output="ACTIVE\n"),
    ("buckets", "describe"): Answer(output="US-WEST4\n"),
    ("create", "--help"): Answer(output=f"NAME ... {group.BULK}"),
}


def recorder(**bad):
    """Answers well, but for commands that hold a word."""

    def script(words):
        for word, answer in bad.items():
            if word.replace("_", "-") in words:
                return answer
        found = [answer for key, answer in GOOD.items() if set(key) <= set(words)]
        return found[0] if found else Answer()

    return Recorder(script)


def check(runner, **changes):
    return checks.check(made_slices.spec(**changes), runner)


def test_nothing_is_created_but_a_probe_that_is_removed():
    runner = recorder()
    check(runner, service_account="t@p.iam.x.com")
    verbs = [[word for word in words if not word.startswith("--")] for words in runner.commands]
    assert [words for words in verbs if "create" in words or "delete" in words] == []
    probe = "gs://my-bucket/quickstart/launch/probe"
    assert ["gcloud", "storage", "cp", "-", probe] in verbs
    assert ["gcloud", "storage", "rm", probe] in verbs
    assert ["gcloud", "iam", "service-accounts", "describe", "t@p.iam.x.com"] in verbs
    assert any("accelerator-types" in words and "v5litepod-16" in words for words in verbs)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"auth": Answer()}, "gcloud has no account"),
        ({"projects": Answer(output="DELETE_REQUESTED")}, "is DELETE_REQUESTED, not ACTIVE"),
        ({"projects": Answer(1, "", "PERMISSION_DENIED")}, "projects describe my-project: PERM"),
        ({"accelerator_types": Answer(1, "", "NOT_FOUND")}, "has no v5litepod-16 for project"),
        (
            {"accelerator_types": Answer(1, "", "PERMISSION_DENIED")},
            "v5litepod-16: PERMISSION_DENIED",
        ),
        ({"versions": Answer(1, "", "NOT_FOUND")}, "--runtime=v2-alpha-tpuv5-lite: is not there"),
        ({"service_accounts": Answer(1, "", "NOT_FOUND")}, "--service_account=t@p.iam.x.com: is"),
        ({"buckets": Answer(1, "", "404")}, "buckets describe gs://my-bucket: 404"),
        ({"cp": Answer(1, "", "403 denied")}, "storage cp - gs://my-bucket/quickstart/launch/pr"),
    ],
)
def test_what_is_missing_is_told_in_a_line(bad, says):
    with pytest.raises(UserError) as refused:
        check(recorder(**bad), service_account="t@p.iam.x.com")
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_slices_of_several_hosts_need_a_gcloud_that_knows_them():
    wide = {"topology": "v6e:4x4", "api": "group", "zone": "us-east5-b"}
    assert check(recorder(), **wide)
    with pytest.raises(UserError, match="gcloud components update"):
        check(recorder(instance_groups=Answer(output="NAME")), **wide)
    check(recorder(instance_groups=Answer(output="NAME")), **(wide | {"topology": "v6e:2x2"}))


@pytest.mark.parametrize(
    ("where", "noted"),
    [("US-WEST4", False), ("US", False), ("EU", True), ("US-EAST1", True), ("NAM4", True)],
)
def test_a_bucket_elsewhere_is_noted(where, noted):
    lines = check(recorder(buckets=Answer(output=where)))
    assert any("traffic between them costs" in line for line in lines) == noted


def test_the_cache_may_have_a_bucket_of_its_own():
    runner = recorder()
    check(runner, cache="gs://other-bucket/xla")
    probed = {words[-2] for words in runner.commands if "rm" in words}
    assert probed == {
        "gs://my-bucket/quickstart/launch/probe",
        "gs://other-bucket/xla/launch/probe",
    }
