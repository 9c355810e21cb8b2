"""Loops and collectives, read of programs as XLA dumps them."""

import made_hlo
import pytest

from rare_retention.planning import hlo

PROGRAM = hlo.module(made_hlo.SENT)


def test_a_program_has_its_computations():
    assert PROGRAM.entry == "main"
    assert {"layers", "pieces", "steps", "main"} < set(PROGRAM.computations)
    with pytest.raises(ValueError, match="ENTRY"):
        hlo.module("HloModule x\n")


def test_turns_of_a_loop_are_the_constant_its_counter_is_compared_with():
    loops = {
        line.split("%")[1].split(" ")[0]: line
        for lines in PROGRAM.computations.values()
        for line in lines
        if " while(" in line
    }
    assert {name: hlo.turns(PROGRAM, line) for name, line in loops.items()} == {
        "while.1": 8,
        "while.2": 4,
        "while.3": None,
    }
    told = '%w = f32[] while(%t), condition=%layers_condition, "known_trip_count":{"n":"5"}'
    assert hlo.turns(PROGRAM, told) == 5


def test_a_step_is_the_loop_whose_turns_are_an_argument():
    assert hlo.step_loop(PROGRAM) == "steps"
    assert hlo.step_loop(hlo.module(made_hlo.TIMED)) == ""


def test_what_a_step_sends_is_counted_in_bytes_by_the_turns_of_its_loops():
    step = hlo.collectives(hlo.operations(PROGRAM, hlo.step_loop(PROGRAM)))
    assert step == [
        hlo.Collective("all-gather", 16, "bf16", 4 * 8, 4 * 8 * 64 * 64 * 2),
        hlo.Collective("all-reduce", 8, "f32", 4, 4 * 64 * 64 * 4),
        hlo.Collective("reduce-scatter", 4, "f32", 1, 4 * 4 * 4),
    ]
    call = hlo.collectives(hlo.operations(PROGRAM))
    assert [own for own in call if own not in step] == [
        hlo.Collective("collective-permute", 2, "f32", 1, 64 * 4)
    ]


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("replica_groups={{0,1,2,3},{4,5,6,7}}", 4),
        ("replica_groups=[2,8]<=[16]", 8),
        ("replica_groups=[16]<=[16]", 16),
        ("replica_groups=mesh['axis_0'=4,'axis_1'=8] {'axis_0','axis_1'}, x", 32),
        ("source_target_pairs={{0,1},{1,2},{2,0}}", 3),
        ("replica_groups={}", 0),
    ],
)
def test_sizes_of_groups_in_every_way_that_they_are_written(line, size):
    assert hlo.group_size(line) == size


def test_bytes_of_a_shape():
    assert hlo.size("f32[8,64]{1,0:T(8,128)}") == 2048
    assert hlo.size("(bf16[2,3]{1,0}, s32[], /*index=5*/pred[7])") == 12 + 4 + 7
