"""Plans in words."""

from made_plans import booking, compiled

from rare_retention.planning import words


def test_lines_about_a_unit_say_what_to_book_and_which_flags_to_add():
    text = "\n".join(words.unit(booking(units=4, flags=("--config.run.accumulate=8",))))
    assert "stream=0, and 3 alike" in text
    assert "v5e:4x4: 16 chips on 4 hosts, accelerator type v5litepod-16" in text
    assert "the compiler's word" in text
    assert "all-reduce of f32 among 16, 8 a step" in text
    assert "flags      --config.run.accumulate=8" in text
    assert "differ" not in text


def test_counts_that_differ_are_said():
    assert "the two counts differ by +5.0%" in "\n".join(words.unit(booking(walked=1.05e15)))


def test_what_does_not_fit_is_said():
    text = "\n".join(words.unit(booking(fits=False, compiled={"advance": compiled(200)})))
    assert "does not fit: 0.000191 MiB of 9.54e-05 MiB" in text
    assert "none found that fit" in text


def test_a_table_has_units_topologies_and_what_all_of_the_study_costs():
    rows = [[booking(units=2), booking("v5p:4x4x4", fits=False)]]
    head, line, whole, row = words.table(rows, markdown=True)
    assert head == "| size | v5e:4x4 | v5p:4x4x4 |"
    assert line == "| --- | --- | --- |"
    assert whole.startswith("| 4M | fsdp 16, accumulate 8, remat full, unroll 16; ")
    assert "does not" in whole
    assert row.startswith("| chip-hours of the study | ") and row.endswith(" not known |")
