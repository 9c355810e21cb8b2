"""Which losses count as points of a scaling law, and tables that are none."""

import made_language
import made_scaling as made
import numpy as np
import pytest
from etils import epath

from rare_retention.errors import UserError
from rare_retention.evidence.scaling_points import read_results, read_table

TOKENS_PER_STEP = made.BATCH * made.ROW_TOKENS


def written(folder, text):
    path = epath.Path(folder) / "points.csv"
    path.write_text(text)
    return path


def test_the_last_measured_step_of_each_run_counts():
    results = made.ladder(streams=2, initialisations=2, noise=0.0)
    text, comparison = read_results(results)
    assert (text.name, text.index) == ("text", 0) and comparison.name == "comparison"
    sizes, lengths = len(made.SIZES), len(made.LENGTHS)
    assert len(text.loss) == 2 * lengths * sizes * 2 == len(np.unique(text.run))
    assert set(text.tokens) == {length * TOKENS_PER_STEP for length in made.LENGTHS}
    assert np.bincount(text.stream).tolist() == [lengths * sizes * 2] * 2
    np.testing.assert_allclose(text.loss, made.LAW.loss(text.parameters, text.tokens), rtol=1e-6)
    np.testing.assert_allclose(comparison.loss, 0.7, rtol=1e-6)


def test_measured_steps_count_from_a_share_of_each_run_on():
    """Runs are measured at 0, a quarter, a half and the whole of their length."""
    results = made.ladder(noise=0.0)
    late, every = (read_results(results, since)[0] for since in (0.5, 0.0))
    ends = len(read_results(results)[0].loss)
    assert len(late.loss) == 2 * ends and len(every.loss) == 3 * ends  # nothing at 0 tokens
    assert len(np.unique(late.run)) == ends
    first = late.run == late.run[0]
    assert sorted(late.tokens[first] / TOKENS_PER_STEP) in [[n // 2, n] for n in made.LENGTHS]
    assert len(set(late.parameters[first])) == len(set(late.stream[first])) == 1


def test_runs_that_go_on_and_students_that_diverged_are_left_out():
    results = made.ladder(streams=2)
    whole = read_results(results)[0]
    results["finished"].loc[{"stream": 0, "steps": 4000}] = False
    results["loss"].loc[{"stream": 1, "steps": 16_000, "step": 16_000, "size": "4M"}] = np.nan
    for since in (1.0, 0.5):
        kept = read_results(results, since)[0]
        ends = kept.tokens / TOKENS_PER_STEP
        places = set(zip(kept.stream, ends, kept.parameters, strict=True))
        assert not {(0, 4000, n) for n in made.SIZES.values()} & places
        assert (1, 16_000, 4e6) not in places and (1, 8_000, 4e6) not in places
        assert (0, 16_000, 4e6) in places
    assert len(read_results(results)[0].loss) == len(whole.loss) - 5


def test_each_point_of_a_grid_has_points_of_its_own():
    results = made.ladder(noise=0.0)
    both = results.expand_dims(per_token=[0.1, 0.001]).transpose("stream", "steps", ...)
    found = read_results(both)
    assert [points.name for points in found] == [
        "text, per_token = 0.1",
        "comparison, per_token = 0.1",
        "text, per_token = 0.001",
        "comparison, per_token = 0.001",
    ]
    assert len(found[2].loss) == len(read_results(results)[0].loss)


def test_a_study_of_one_length_needs_no_grid():
    results = made.ladder(lengths=(1000,)).isel(steps=0)
    assert set(read_results(results)[0].tokens) == {1000 * TOKENS_PER_STEP}


def test_results_that_count_no_tokens_are_refused():
    results = made.ladder()
    with pytest.raises(UserError, match="the results lack `step_tokens`"):
        read_results(results.drop_vars("step_tokens"))


def test_each_batch_and_window_counts_its_own_tokens():
    results = made_language.varied(made.ladder(noise=0.0), batch=(64, 128), window=(16, 32))
    for points in read_results(results):
        batch, window = (int(part.split(" = ")[1]) for part in points.place.split(", "))
        assert sorted(set(points.tokens)) == [n * batch * window for n in made.LENGTHS]


def test_each_length_counts_its_own_tokens():
    """Where the longer runs have the larger batches."""
    results = made.ladder(noise=0.0)
    results["step_tokens"] = ("steps", [1000.0, 500.0, 250.0])
    text = read_results(results)[0]
    assert set(text.tokens) == {1_000 * 1000, 4_000 * 500, 16_000 * 250}
    assert len(set(zip(text.stream, text.tokens, strict=True))) == 6


def test_a_table_has_points_by_task_and_stream(tmp_path):
    path = written(tmp_path, "loss,N, D,task,stream\n3.5,1e6,2e8,text,b\n0.5,1000000,3e8,add,a\n")
    with path.open("a") as file:
        file.write("3.25,2e6,4e8,text,a\n")
    (text, add), unused = read_table(path)
    assert not unused
    assert (text.name, text.index, add.name, add.index) == ("text", 0, "add", 1)
    assert text.parameters.tolist() == [1e6, 2e6] and text.tokens.tolist() == [2e8, 4e8]
    assert text.loss.tolist() == [3.5, 3.25] and text.stream.tolist() == [1, 0]
    assert len(set(text.run)) == 2


def test_a_table_may_have_the_points_of_one_task_alone(tmp_path):
    ((points,), _) = read_table(written(tmp_path, "N,D,loss\n1e6,2e8,3.5\n"))
    assert (points.name, points.stream.tolist()) == ("loss", [0])


EXPORTED = {
    "byte order mark": "\ufeffN,D,loss\n1000000,2e8,3.5\n",
    "semicolons": "N;D;loss\n1000000;2e8;3.5\n",
    "decimal commas": "N;D;loss\n1000000;2,0E+08;3,500\n",
    "tabs": "N\tD\tloss\n1000000\t2e8\t3.5\n",
    "blank lines": "\nN,D,loss\n\n1000000,2e8,3.5\n , ,\n\n",
    "other cases": " d , Loss,n \n2e8, 3.5 ,1000000\n",
    "Windows": "N,D,loss\r\n1000000,2e8,3.5\r\n",
}


@pytest.mark.parametrize("case", EXPORTED)
def test_tables_are_read_as_programs_export_them(case, tmp_path):
    ((points,), unused) = read_table(written(tmp_path, EXPORTED[case]))
    assert (points.parameters, points.tokens, points.loss) == ([1e6], [2e8], [3.5]) and not unused


def test_further_columns_are_named(tmp_path):
    text = "N,D,strem,loss,seconds\n1e6,2e8,a,3.5,9\n"
    found = read_table(written(tmp_path, text))
    assert found.unused == ("strem", "seconds") and found.points[0].loss == [3.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: the columns are none; expected N,D,loss"),
        ("N,D\n1,2\n", ":1: the columns are N,D; expected N,D,loss"),
        ("N,D,loss,D\n1,2,3,4\n", ":1: the columns are N,D,loss,D; expected"),
        ("N,D,loss\n", ": holds no points, only a header"),
        ("N,D,loss\n1,2,3\n1,2\n", ":3: expected 3 values, N,D,loss; got 1,2"),
        ("\n\nN,D\n1,2\n", ":3: the columns are N,D; expected"),
        ("N;D;loss\n1.000;2;3\n", ":2: N: expected digits without marks, got '1.000'"),
        ("N;D;loss\n1;2,000,000;3\n", ":2: D: expected digits without marks, got '2,000,000'"),
        ("N;n;D;loss\n1;2;3;4\n", ":1: the columns are N,N,D,loss; expected"),
        ("N,D,loss\n1,2,3,4\n", ":2: expected 3 values"),
        ("N,D,loss\n1,2,three\n", ":2: loss: expected a number above 0, got 'three'"),
        ("N,D,loss\n1,0,3\n", ":2: D: expected a number above 0, got '0'"),
        ("N,D,loss\n1,2,inf\n", ":2: loss: expected a number above 0, got 'inf'"),
        ("N,D,loss\n1.5,2,3\n", ":2: N: expected a whole number of parameters, got '1.5'"),
        ('N,D,loss\n1,2,"3\n', ": not a CSV table (unexpected end of data)"),
    ],
)
def test_what_is_no_table_is_one_line(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}{message}") and "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"absent.csv: no such file; expected a CSV table"):
        read_table(epath.Path(tmp_path) / "absent.csv")
    path = epath.Path(tmp_path) / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary.csv: not a CSV table"):
        read_table(path)
