"""What a spec refuses before anything costs."""

import made_slices
import pytest

from rare_retention.errors import UserError


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Rare"}, "--name=Rare: expected at most 40"),
        ({"name": "x" * 41}, "expected at most 40"),
        ({"project": "123456789"}, "a project's number"),
        ({"project": "My Project"}, "expected a project's ID"),
        ({"zone": "us-west4"}, "this is a region; v5e has been in us-central1-a"),
        ({"zone": "west"}, "expected a zone"),
        ({"workdir": "runs/x"}, "--workdir=runs/x: expected gs://BUCKET/FOLDER"),
        ({"workdir": "gs://bucket"}, "expected gs://BUCKET/FOLDER"),
        ({"cache": "/tmp/xla"}, "--cache=/tmp/xla"),
        ({"service_account": "trainer"}, "trainer@my-project.iam.gserviceaccount.com"),
        ({"slices": 0}, "expected at least 1"),
        ({"api": "group"}, "--api=group does not serve v5e"),
        ({"topology": "tpu7x:2x2x2", "api": "queued"}, "--api=queued does not serve tpu7x"),
        ({"topology": "v6e:4x4", "api": "group", "slices": 2}, "launched as one slice"),
        ({"topology": "v6e:4x4", "api": "group", "capacity": "reserved"}, "--reservation names"),
        ({"capacity": "reserved", "reservation": "r"}, "has no effect with --api=queued"),
        ({"api": "gke", "reservation": "r"}, "has no effect with --api=gke --capacity=spot"),
        ({"command": ("python", "-m", "launch.study")}, "expected a launcher first"),
        ({"command": ("launch.study", "--workdir=x")}, "leave --workdir out of it"),
        ({"command": ("launch.study", "--multihost")}, "leave --multihost out of it"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(changes, says):
    with pytest.raises(UserError) as refused:
        made_slices.spec(**changes)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_projects_of_organisations_have_a_domain():
    assert made_slices.spec(project="example.com:my-project").project


def test_hosts_of_all_slices_join():
    several = made_slices.spec(slices=2)
    assert several.workers == 8 and several.module[-1] == "--multihost"
    assert several.module[:2] == ("-m", "launch.study")
    assert f"--workdir={several.workdir}" in several.module


def test_one_host_has_nobody_to_join():
    assert "--multihost" not in made_slices.spec("v5e:2x4").module


def test_the_environment_has_what_is_set():
    assert set(made_slices.spec(libtpu="").environment) == {"PYTHONUNBUFFERED"}
    found = made_slices.spec(cache="gs://other/xla/x").environment
    assert found["JAX_COMPILATION_CACHE_DIR"] == "gs://other/xla/x"
    assert found["LIBTPU_INIT_ARGS"] == "--xla_a=true --xla_b=1"


def test_a_verb_names_the_flag_that_it_lacks():
    with pytest.raises(UserError, match="--command is required here"):
        made_slices.spec(command=()).need("workdir", "command")
