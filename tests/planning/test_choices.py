"""Ways of spreading a run, and their order."""

import dataclasses

import pytest
import tiny
import tiny_text

from rare_retention.errors import ConfigError
from rare_retention.planning.choices import Choice, choices, configured, seconds
from rare_retention.planning.topology import parse

RUN = tiny_text.run(mesh__data=-1)
FOUR = parse("v5e:2x2")


def test_all_choices_can_be_and_keep_what_is_learned():
    found = choices(RUN, FOUR)
    assert {own.data * own.fsdp for own in found} == {4}
    assert {own.accumulate for own in found} == {1, 2}  # 8 rows on 4 devices
    assert {own.remat for own in found} == {"none", "dots", "attention", "full"}
    assert configured(found[-1].of(RUN), FOUR) == found[-1]
    assert found[-1].of(RUN).identity() == RUN.identity()


def test_layers_one_by_one_are_looked_at_where_a_compiler_says_what_they_take():
    deep = tiny_text.run(tiny_text.language(sizes=("3x8x16x1", "2x8x16x1")), mesh__data=-1)
    assert {own.unroll for own in choices(deep, FOUR)} == {1, 3}
    for other in ("h100:4", "cpu:4"):
        assert {own.unroll for own in choices(deep, parse(other))} == {1}
    unrolled = next(own for own in choices(deep, FOUR) if own.unroll == 3)
    assert unrolled.of(deep).setting.compute.unroll == 3
    assert "--config.run.setting.compute.unroll=3" in unrolled.flags(deep)


def test_weights_that_cannot_be_cut_so_are_left_whole():
    setting = dataclasses.replace(RUN.setting, sizes=("1x6x16x1",))
    assert {own.fsdp for own in choices(dataclasses.replace(RUN, setting=setting), FOUR)} == {1, 2}


def test_a_setting_that_draws_its_inputs_has_no_pieces_nor_anything_to_compute_again():
    run = tiny.study().run
    assert {(own.accumulate, own.remat) for own in choices(run, parse("h100:2"))} == {(1, "")}


def test_the_cheapest_computes_nothing_twice_and_sends_the_least():
    first, *_, last = choices(RUN, FOUR)
    assert (first.accumulate, first.remat) == (1, "none")
    assert (last.accumulate, last.remat) == (2, "full")


def test_what_is_computed_or_sent_again_costs():
    plain = Choice(16, 1, 1, "none", 2)
    v5e, weights, flops = parse("v5e:4x4"), 5e9, 1e15
    cost = seconds(plain, weights, flops, v5e)
    for other in (
        plain._replace(remat="dots"),
        plain._replace(accumulate=2),
        plain._replace(unroll=1),
    ):
        assert seconds(other, weights, flops, v5e) > cost
    dots, full = (seconds(plain._replace(remat=r), weights, flops, v5e) for r in ("dots", "full"))
    assert full > dots


def test_flags_are_what_differs_from_the_config():
    assert Choice(4, 1, 1, "none", 1).flags(RUN) == []
    assert Choice(2, 2, 2, "full", 1).flags(RUN) == [
        "--config.run.mesh.fsdp=2",
        "--config.run.accumulate=2",
        "--config.run.setting.compute.remat=full",
    ]
    fixed = tiny_text.run(mesh__data=4)
    assert Choice(2, 2, 1, "none", 1).flags(fixed)[0] == "--config.run.mesh.data=2"


def test_a_config_that_cannot_be_on_these_devices_is_refused():
    with pytest.raises(ConfigError, match=r"mesh\.model: weights have a dimension of 2"):
        configured(tiny_text.run(mesh__data=1, mesh__model=4), FOUR)
    with pytest.raises(ConfigError, match="8 rows cannot be spread evenly over 16 devices"):
        configured(RUN, parse("v5e:4x4"))
