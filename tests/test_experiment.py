import dataclasses

import pytest
import tiny
import tiny_text

from rare_retention.config import ConfigError, config, to_dict
from rare_retention.experiment import (
    LEFT_OUT,
    Checkpoints,
    Exposure,
    Measurement,
    Run,
    Snapshots,
)

CHANGES = {
    "setting": {"setting__tasks.count": 3},
    "exposure": {"exposure__gap": 16},
    "optimizer": {"optimizer__peak": 0.5},
    "batch": {"batch": 64},
    "accumulate": None,  # a setting that draws its inputs has no pieces: see below
    "steps": {"steps": 96},
    "stream": {"stream": 1},
    "precision": {"precision": "bfloat16"},
    "measure": {"measure__every": 3, "measure__gradients": True},
    "snapshots": {"snapshots__cycles": 0},
    "checkpoints": {"checkpoints__keep": 5},
    "mesh": {"mesh__data": 1},
}


def test_every_field_is_known_to_these_tests():
    assert CHANGES.keys() == {field.name for field in dataclasses.fields(Run)}
    assert CHANGES.keys() >= LEFT_OUT


@pytest.mark.parametrize("field", [name for name, changes in CHANGES.items() if changes])
def test_the_identity_sees_all_but_what_is_known_not_to_matter(field):
    same = tiny.run(**CHANGES[field]).identity() == tiny.run().identity()
    assert same == (field in LEFT_OUT)


def test_pieces_of_a_batch_are_no_part_of_the_identity():
    run = tiny.run()
    pieces = dataclasses.replace(run)
    object.__setattr__(pieces, "accumulate", 2)
    assert pieces.identity() == run.identity()


def test_a_new_field_changes_the_identity_until_somebody_decides_otherwise():
    @config
    class Wider(Run):
        rule: str = "none"

    fields = {field.name: getattr(tiny.run(), field.name) for field in dataclasses.fields(Run)}
    run, other = Wider(**fields), Wider(**fields, rule="project")
    assert len({tiny.run().identity(), run.identity(), other.identity()}) == 3


def test_a_new_field_of_a_group_changes_the_identity_too():
    @config
    class Later(Exposure):
        delay: int = 0

    run, later = tiny.run(), tiny.run()
    exposure = {
        field.name: getattr(run.exposure, field.name) for field in dataclasses.fields(Exposure)
    }
    object.__setattr__(later, "exposure", Later(**exposure))
    assert later.identity() != run.identity()


def test_the_recipe_is_all_that_the_config_says_but_what_is_left_out():
    tree = to_dict(tiny.run())
    recipe = tiny.run().recipe()
    assert recipe.keys() == tree.keys() - LEFT_OUT | {"order_version"}
    assert all(recipe[name] == tree[name] for name in recipe.keys() & tree.keys())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 0}, "batch: expected at least 1, got 0"),
        ({"stream": -1}, "stream: expected at least 0, got -1"),
        ({"measure": Measurement(every=0)}, "measure.every: expected at least 1, got 0"),
        ({"snapshots": Snapshots(every=-1)}, "snapshots.every: expected at least 0, got -1"),
        ({"checkpoints": Checkpoints(keep=0)}, "checkpoints.keep: expected at least 1, got 0"),
        ({"accumulate": 2}, "accumulate: a regression setting draws its inputs at once; expected"),
    ],
)
def test_what_no_run_can_have_is_one_line(fields, message):
    with pytest.raises(ConfigError) as caught:
        Run(**fields)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_pieces_divide_the_batch():
    with pytest.raises(ConfigError, match="accumulate: expected a divisor of batch = 8, got 3"):
        Run(setting=tiny_text.language(), batch=8, accumulate=3)


def test_products_are_no_finer_than_the_arrays():
    assert Run().matmul_precision == "float32"
    assert Run(precision="bfloat16").matmul_precision == "bfloat16"


def test_streams_have_other_schedules_and_other_inputs():
    one, other = tiny.run(), tiny.run(stream=1)
    assert one.schedule().rows(9).tolist() != other.schedule().rows(9).tolist()
    assert one.data_key() != other.data_key()
