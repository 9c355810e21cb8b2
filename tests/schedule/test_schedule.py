import itertools
import pickle
import re
from collections import Counter
from fractions import Fraction

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scheduled import scheduled
from scipy import stats

from rare_retention.errors import ConfigError
from rare_retention.schedule.background import Purpose, random_words

FAR = 10**9
UNLIKELY = 1e-4


def power_law(tasks, beta):
    weights = np.arange(1, tasks + 1) ** -float(beta)
    return weights / weights.sum()


PAPER = power_law(32, 2)  # Fig. 4: K = 32, beta = 2, B = 512


def remedy(error):
    """The field of a recipe that an error is about, and the fields that it says would do."""
    field = error.field.removeprefix("exposure.")
    value, gap = re.search(
        r"expected (?:at most )?(\d+)(?: with a gap of (\d+))?", error.message
    ).groups()
    return field, {field: int(value)} | ({"gap": int(gap)} if gap else {})


def stack(schedule, steps):
    return np.stack([schedule.counts(step) for step in steps])


def works(**recipe):
    try:
        scheduled(**recipe)
    except ConfigError:
        return False
    return True


frequency_lists = st.lists(st.integers(1, 30), min_size=2, max_size=6).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)


@st.composite
def recipes(draw, placements=("iid", "even", "burst"), backgrounds=("iid", "even"), max_gap=9):
    frequencies = draw(frequency_lists)
    recipe = {
        "frequencies": frequencies,
        "batch": draw(st.integers(1, 48)),
        "placement": draw(st.sampled_from(placements)),
        "seed": draw(st.integers(0, 2**64 - 1)),
    }
    if recipe["placement"] == "burst":
        order = draw(st.permutations(range(len(frequencies))))
        withheld = order[: draw(st.integers(1, min(2, len(order) - 1)))]
        from_the_end = draw(st.booleans())
        recipe["withheld"] = tuple(k - len(order) * from_the_end for k in withheld)
        recipe["gap"] = draw(st.integers(1, max_gap))
        recipe["background"] = draw(st.sampled_from(backgrounds))
    return recipe


@st.composite
def schedules(draw, **kinds):
    """The schedule of any recipe, or of what the error about an impossible one says instead."""
    recipe = draw(recipes(**kinds))
    try:
        return scheduled(**recipe)
    except ConfigError as error:
        return scheduled(**recipe | remedy(error)[1])


starts = st.sampled_from([0, 1, 17, FAR])
few = hypothesis.settings(max_examples=100, deadline=None)


class TestEverySchedule:
    @few
    @hypothesis.given(schedules(), starts)
    def test_counts_are_a_split_of_the_batch(self, schedule, start):
        counts = stack(schedule, range(start, start + 25))
        assert counts.dtype == np.int64
        assert counts.shape == (25, len(schedule.shares))
        assert counts.min() >= 0
        assert (counts.sum(axis=1) == schedule.slots).all()

    @few
    @hypothesis.given(schedules(), starts)
    def test_rows_hold_what_is_counted(self, schedule, start):
        for step in range(start, start + 5):
            rows = schedule.rows(step)
            assert rows.dtype == np.int32
            assert rows.shape == (schedule.slots,)
            counts = np.bincount(rows, minlength=schedule.tasks)
            np.testing.assert_array_equal(counts, schedule.counts(step))

    @few
    @hypothesis.given(schedules(), st.integers(0, 40))
    def test_shown_is_the_sum_of_counts(self, schedule, steps):
        total = sum(map(schedule.counts, range(steps)), start=np.zeros(schedule.tasks, np.int64))
        shown = schedule.shown(steps)
        assert shown.dtype == np.int64
        np.testing.assert_array_equal(shown, total)

    @few
    @hypothesis.given(schedules(), starts, st.integers(0, 40), st.data())
    def test_exposures_are_those_of_the_batches(self, schedule, start, steps, data):
        task = data.draw(st.integers(-schedule.tasks, schedule.tasks - 1))
        batches = range(start, start + steps)
        expected = [
            step for step in batches if (schedule.rows(step) == task % schedule.tasks).any()
        ]
        exposures = schedule.exposures(start, start + steps, task)
        assert exposures.dtype == np.int64
        assert exposures.tolist() == expected

    @few
    @hypothesis.given(schedules(), st.integers(0, 40), st.data())
    def test_history_is_that_of_the_batches(self, schedule, step, data):
        """Exposures up to the batch that comes next, rows up to the state before it."""
        ids = st.integers(-schedule.tasks, schedule.tasks - 1)
        tasks = data.draw(st.lists(ids, max_size=3))
        found = schedule.history(step, tasks)
        batches = stack(schedule, range(step + 1))
        assert found.shown.tolist() == batches[:-1].sum(axis=0).tolist()
        assert found.shown.dtype == np.int64
        assert len(found.exposures) == len(tasks)
        for task, (steps, counts) in zip(tasks, found.exposures, strict=True):
            assert steps.dtype == counts.dtype == np.int64
            assert steps.tolist() == np.flatnonzero(batches[:, task]).tolist()
            assert counts.tolist() == batches[steps, task].tolist()

    @few
    @hypothesis.given(recipes(), st.data())
    def test_rate_is_the_share_of_batches_that_hold_a_task(self, recipe, data):
        """Of all seeds the same; a draw may miss it by five standard errors."""
        hypothesis.assume(works(**recipe))
        schedule, steps = scheduled(**recipe), 600
        task = data.draw(st.integers(0, schedule.tasks - 1))
        hypothesis.assume(recipe["placement"] != "burst" or task in schedule.withheld)
        rate = schedule.rate(task)
        assert rate == scheduled(**recipe | {"seed": 0}).rate(task - schedule.tasks)
        seen = (stack(schedule, range(steps))[:, task] > 0).mean()
        top = recipe["placement"] == "even" and schedule.shares.index(max(schedule.shares)) == task
        if not top:  # which has whatever the others leave
            drawn = 5 * (rate * (1 - rate) / steps) ** 0.5 if recipe["placement"] == "iid" else 0
            assert seen == pytest.approx(rate, abs=drawn + (schedule.gap + 1) / steps)

    @few
    @hypothesis.given(schedules(), starts, st.data())
    def test_next_exposure_is_the_first(self, schedule, start, data):
        task = data.draw(st.integers(0, schedule.tasks - 1))
        step = schedule.next_exposure(task, start)
        assert step >= start
        assert schedule.counts(step)[task] > 0
        assert not any(schedule.counts(earlier)[task] for earlier in range(start, step))

    @few
    @hypothesis.given(schedules(), starts)
    def test_a_batch_depends_on_recipe_and_step_alone(self, one, start):
        other = pickle.loads(pickle.dumps(one))
        forwards = [one.rows(step) for step in range(start, start + 4)]
        backwards = [other.rows(np.int64(step)) for step in reversed(range(start, start + 4))]
        np.testing.assert_array_equal(forwards, backwards[::-1])

    @pytest.mark.parametrize("placement", ["iid", "even"])
    def test_one_task_has_every_row(self, placement):
        assert scheduled([1.0], 3, placement=placement).rows(5).tolist() == [0, 0, 0]


class TestLeftOut:
    RECIPES = (
        {"placement": "iid"},
        {"placement": "even"},
        {"placement": "burst", "gap": 3, "withheld": (2,)},
        {"placement": "burst", "gap": 3, "withheld": (1, 2), "background": "even"},
    )

    @pytest.mark.parametrize("left_out", [(2,), (-1, 1)])
    @pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe["placement"])
    def test_all_else_stands_where_it_stood(self, recipe, left_out):
        """Slot by slot: those of the tasks that are left out are the most frequent one's."""
        whole = scheduled([0.7, 0.2, 0.1], 16, seed=4, **recipe)
        own = scheduled([0.7, 0.2, 0.1], 16, seed=4, left_out=left_out, **recipe)
        out = sorted(k % 3 for k in left_out)
        assert own.left_out == tuple(out)
        for step in [*range(40), FAR]:
            rows = whole.rows(step)
            expected = np.where(np.isin(rows, out), 0, rows)
            np.testing.assert_array_equal(own.rows(step), expected)
            assert own.counts(step).tolist() == np.bincount(expected, minlength=3).tolist()
        assert own.shown(40).tolist() == sum(map(own.counts, range(40))).tolist()
        for task in range(3):
            shown = [t for t in range(40) if own.counts(t)[task]]
            assert own.exposures(0, 40, task).tolist() == shown
            if task in out:
                assert not shown and own.rate(task) == 0
        history = own.history(39, [2, 0])
        assert not len(history.exposures[0].steps)
        assert history.exposures[1].counts.sum() == own.shown(40)[0]
        assert float(sum(own.shares)) == 1 and own.shares[out[-1]] == 0

    def test_what_is_never_shown_has_no_next_exposure(self):
        schedule = scheduled([0.7, 0.3], 8, left_out=(-1,))
        with pytest.raises(ConfigError, match=r"exposure.left_out: task 1 is left out, and never"):
            schedule.next_exposure(1, 0)

    @pytest.mark.parametrize(
        ("left_out", "message"),
        [
            ((0,), r"exposure.left_out: \(0,\) leaves out the most frequent task, which takes"),
            ((3,), r"exposure.left_out: 3; expected -2 to 1"),
        ],
    )
    def test_what_cannot_be_left_out(self, left_out, message):
        with pytest.raises(ConfigError, match=message):
            scheduled([0.7, 0.3], 8, left_out=left_out)


class TestNeverShown:
    @pytest.mark.parametrize("left_out", [(), (-1,), (1, 2)])
    @pytest.mark.parametrize("recipe", TestLeftOut.RECIPES, ids=lambda recipe: recipe["placement"])
    def test_tasks_of_frequency_0_change_nothing(self, recipe, left_out):
        """Ids from the end are of tasks that are shown."""
        arguments = {"batch": 16, "seed": 4, "left_out": left_out, **recipe}
        without = scheduled([0.7, 0.2, 0.1], **arguments)
        own = scheduled([0.7, 0.2, 0.1, 0.0, 0.0], **arguments)
        assert (own.tasks, own.left_out, own.withheld) == (5, without.left_out, without.withheld)
        for step in [*range(40), FAR]:
            np.testing.assert_array_equal(own.rows(step), without.rows(step))
            assert own.counts(step).tolist() == [*without.counts(step), 0, 0]
        assert own.shown(40).tolist() == [*without.shown(40), 0, 0]
        assert own.shares == (*without.shares, 0, 0)
        assert own.rate(-1) == 0 and own.rate(0) == without.rate(0)
        assert not len(own.exposures(0, 40, 3))
        history = own.history(39, [-1, 0])
        assert not len(history.exposures[0].steps)
        assert history.shown.tolist() == [*without.history(39, [0]).shown, 0, 0]
        own.check(1000)

    def test_they_have_no_next_exposure(self):
        with pytest.raises(ConfigError, match=r"frequencies\[2\]: 0: task 2 is never shown"):
            scheduled([0.7, 0.3, 0.0], 8).next_exposure(2, 0)

    def test_they_cannot_be_left_out(self):
        with pytest.raises(ConfigError, match=r"exposure.left_out: 2; expected -2 to 1"):
            scheduled([0.7, 0.3, 0.0], 8, left_out=(2,))


class TestEven:
    @few
    @hypothesis.given(schedules(placements=("even",)), starts)
    def test_is_within_one_row_of_the_rate_at_every_step(self, schedule, start):
        top = schedule.shares.index(max(schedule.shares))
        for step in range(start, start + 25):
            shown = schedule.shown(step)
            for task, share in enumerate(schedule.shares):
                if task != top:
                    assert abs(int(shown[task]) - step * schedule.slots * share) < 1

    def test_matches_exact_fractions_far_out(self):
        shares = [Fraction(n, 1000) for n in (613, 200, 101, 7, 79)]
        schedule = scheduled([float(share) for share in shares], 96, placement="even", seed=3)
        phases = [Fraction(int(w), 2**64) for w in random_words(3, 0, Purpose.PHASES, 5)]
        for step in range(FAR, FAR + 50):
            expected = [
                [int(n * 96 * p + phi) for p, phi in zip(shares, phases, strict=True)]
                for n in (step, step + 1)
            ]
            expected[0][0] = step * 96 - sum(expected[0][1:])
            expected[1][0] = (step + 1) * 96 - sum(expected[1][1:])
            assert schedule.shown(step).tolist() == expected[0]
            np.testing.assert_array_equal(schedule.counts(step), np.subtract(*expected[::-1]))

    def test_a_whole_number_of_rows_comes_in_every_batch(self):
        schedule = scheduled([1 / 6] * 6, 12, placement="even")
        assert (stack(schedule, [*range(100), FAR]) == 2).all()

    def test_equally_rare_tasks_keep_out_of_step(self):
        # Tasks 1 and 2 each come once in 8 steps: over many seeds, every pair of places among
        # the 8 must be as likely as any other.
        pairs = np.zeros((8, 8))
        for seed in range(3000):
            schedule = scheduled([30 / 32, 1 / 32, 1 / 32], 4, placement="even", seed=seed)
            pairs[schedule.next_exposure(1, 0), schedule.next_exposure(2, 0)] += 1
        assert pairs.sum() == 3000
        assert UNLIKELY < stats.chisquare(pairs.ravel()).pvalue < 1 - UNLIKELY

    def test_takes_the_smallest_batch_that_leaves_the_top_task_its_rest(self):
        # Between 33 and 61 rows each of 31 tasks may take two, more than there are.
        assert (stack(scheduled([1 / 32] * 32, 32, placement="even"), range(9)) == 1).all()
        with pytest.raises(ConfigError, match=r"^batch: 33 rows .* expected 62, the next"):
            scheduled([1 / 32] * 32, 33, placement="even")

    @hypothesis.settings(max_examples=25, deadline=None)
    @hypothesis.given(frequency_lists)
    def test_names_the_next_batch_that_works(self, frequencies):
        possible = [
            b for b in range(1, 400) if works(frequencies=frequencies, batch=b, placement="even")
        ]
        for batch in set(range(1, 40)) - set(possible):
            with pytest.raises(ConfigError) as caught:
                scheduled(frequencies, batch, placement="even")
            assert remedy(caught.value)[1] == {"batch": next(b for b in possible if b > batch)}


class TestBurst:
    @few
    @hypothesis.given(schedules(placements=("burst",)), st.integers(0, 20))
    def test_withheld_tasks_come_in_bursts_alone(self, schedule, start):
        steps = range(start, start + 30)
        quiet = [step for step in steps if step % schedule.gap != schedule.gap - 1]
        for step in quiet:
            assert not schedule.counts(step)[list(schedule.withheld)].any()

    @few
    @hypothesis.given(schedules(placements=("burst",), backgrounds=("even",)), st.data())
    def test_frequency_is_matched_over_whole_gaps(self, schedule, data):
        cycles = data.draw(st.sampled_from([*range(1, 30), FAR]))
        rows = cycles * schedule.gap * schedule.slots
        shown = [int(count) for count in schedule.shown(cycles * schedule.gap)]
        for task in schedule.withheld:
            assert abs(shown[task] - rows * schedule.shares[task]) < 1
        # The background is within a row of its share of what the bursts left.
        left = rows - sum(shown[task] for task in schedule.withheld)
        others = {k: p for k, p in enumerate(schedule.shares) if k not in schedule.withheld}
        top = max(others, key=others.get)
        for task in others.keys() - {top}:
            share = schedule.shares[task] / sum(others.values())
            assert abs(shown[task] - left * share) < 1

    def test_matches_exact_fractions_far_out(self):
        frequencies, gap, batch = [0.5, 0.483, 0.017], 7, 40
        schedule = scheduled(
            frequencies, batch, placement="burst", gap=gap, background="even", seed=11
        )
        phases = [Fraction(int(w), 2**64) for w in random_words(11, 0, Purpose.PHASES, 3)]

        def shown(step):
            rare = int(step // gap * gap * batch * Fraction(17, 1000) + phases[2])
            second = int((step * batch - rare) * Fraction(483, 983) + phases[1])
            return [step * batch - rare - second, second, rare]

        for step in range(FAR, FAR + 3 * gap):
            assert schedule.shown(step).tolist() == shown(step)
            expected = np.subtract(shown(step + 1), shown(step))
            np.testing.assert_array_equal(schedule.counts(step), expected)

    @pytest.mark.parametrize("background", ["iid", "even"])
    @pytest.mark.parametrize("gap", [64, 128, 256, 512, 1024, 1280])
    def test_the_gaps_of_figure_4(self, gap, background):
        assert PAPER[-1] == pytest.approx(6.05e-4, rel=1e-3)
        schedule = scheduled(PAPER, 512, placement="burst", gap=gap, background=background)
        steps = schedule.exposures(0, 40_000, -1)
        assert steps.tolist() == list(range(gap - 1, 40_000, gap))
        bursts = stack(schedule, steps)[:, -1]
        expected = gap * 512 * PAPER[-1]
        assert set(bursts) <= {int(expected), int(expected) + 1}
        assert abs(bursts.sum() - expected * len(bursts)) < 1
        assert bursts.max() <= 512
        if gap == 1280:
            assert set(bursts) <= {396, 397}

    def test_a_gap_of_one_is_even(self):
        burst = scheduled([0.7, 0.2, 0.1], 16, placement="burst", background="even", seed=5)
        even = scheduled([0.7, 0.2, 0.1], 16, placement="even", seed=5)
        np.testing.assert_array_equal(stack(burst, range(50))[:, -1], stack(even, range(50))[:, -1])

    def test_a_burst_may_be_the_whole_batch(self):
        schedule = scheduled([0.9, 0.1], 512, placement="burst", gap=10)
        assert schedule.counts(FAR - 1).tolist() == [0, 512]
        assert schedule.counts(FAR).tolist() == [512, 0]
        with pytest.raises(ConfigError, match=r"exposure.gap: 11 .* 564 rows.* at most 10$"):
            scheduled([0.9, 0.1], 512, placement="burst", gap=11)

    def test_a_burst_may_be_less_than_a_row(self):
        schedule = scheduled([0.999, 0.001], 10, placement="burst", gap=10)
        bursts = schedule.exposures(0, 10_000, 1)
        assert len(bursts) == 100
        assert set(np.diff(bursts)) == {100}
        assert set(bursts % 10) == {9}

    @few
    @hypothesis.given(recipes(placements=("burst",), max_gap=40))
    def test_names_the_nearest_values_that_work(self, recipe):
        try:
            scheduled(**recipe)
        except ConfigError as error:
            field, named = remedy(error)
        else:
            return
        assert works(**recipe | named)
        if field == "gap":
            nearer = [{"gap": gap} for gap in range(named["gap"] + 1, recipe["gap"] + 1)]
        else:
            gaps, sizes = range(1, recipe["gap"] + 1), range(recipe["batch"], named["batch"])
            nearer = [{"gap": gap, "batch": size} for gap in gaps for size in sizes]
        assert not any(works(**recipe | change) for change in nearer)

    def test_names_the_smallest_batch_where_no_gap_works(self):
        recipe = {"frequencies": [0.5, 0.3, 0.2], "placement": "burst", "withheld": (1, 2)}
        with pytest.raises(ConfigError) as caught:
            scheduled(batch=1, gap=3, **recipe)
        assert str(caught.value) == (
            "batch: 1 rows are too few for burst placement of 3 tasks; "
            "expected 2 with a gap of 1, the next size that works"
        )
        scheduled(batch=2, gap=1, **recipe)

    def test_every_remainder_of_a_burst_must_divide(self):
        # Six equal tasks divide 12 rows, but 13 or 14 only with five of them taking three. A gap of
        # 10 leaves 12 or 13 of 24, and one of 7 the first pair in which both will do: 15 or 16.
        recipe = {"placement": "burst", "withheld": (6,), "background": "even"}
        frequencies = [(1 - 0.0479) / 6] * 6 + [0.0479]
        with pytest.raises(ConfigError, match=r"^exposure\.gap: 10 .* at most 7$"):
            scheduled(frequencies, 24, gap=10, **recipe)
        assert stack(scheduled(frequencies, 24, gap=7, **recipe), range(700)).min() == 0

    def test_batches_without_a_burst_must_divide_too(self):
        # Seven equal tasks divide the 6 rows that every burst leaves, but not the 8 of other steps.
        recipe = {"placement": "burst", "background": "even"}
        with pytest.raises(ConfigError, match=r"^batch: 8 .* expected 14 with a gap of 1, "):
            scheduled([1 / 8] * 8, 8, gap=2, **recipe)


class TestChance:
    def test_iid_counts_are_multinomial(self):
        # The sum of Pearson's statistic over batches has K - 1 degrees of freedom for each; a
        # placement more regular than chance, or less, falls out of the middle of its distribution.
        frequencies, batch, steps = power_law(6, 1), 64, 1500
        counts = stack(scheduled(frequencies, batch, seed=1), range(steps))
        expected = batch * frequencies
        statistic = ((counts - expected) ** 2 / expected).sum()
        assert UNLIKELY < stats.chi2.cdf(statistic, 5 * steps) < 1 - UNLIKELY
        assert stats.chisquare(counts.sum(axis=0), steps * expected).pvalue > UNLIKELY

    def test_iid_background_of_a_burst_follows_the_conditional_prior(self):
        frequencies, batch, gap = np.array([0.4, 0.3, 0.2, 0.1]), 64, 5
        schedule = scheduled(frequencies, batch, placement="burst", gap=gap, withheld=(2,), seed=2)
        shown = schedule.shown(300 * gap)
        assert abs(shown[2] - 300 * gap * batch * 0.2) < 1
        others = [0, 1, 3]
        expected = shown[others].sum() * frequencies[others] / 0.8
        assert stats.chisquare(shown[others], expected).pvalue > UNLIKELY

    def test_the_rarest_task_of_the_paper_is_drawn_as_often_as_it_should(self):
        shown = scheduled(PAPER, 512, seed=4).shown(4000)[-1]
        assert UNLIKELY < stats.poisson.cdf(shown, 4000 * 512 * PAPER[-1]) < 1 - UNLIKELY

    @pytest.mark.parametrize(
        ("recipe", "every"),
        [
            ({"placement": "iid"}, 1),
            ({"placement": "even"}, 1),
            ({"placement": "burst", "gap": 8}, 8),
            ({"placement": "burst", "gap": 8, "background": "even"}, 8),
        ],
    )
    def test_no_row_or_host_prefers_the_rare_task(self, recipe, every):
        batch, batches = 32, 2000
        schedule = scheduled([0.6, 0.34, 0.06], batch, **recipe)
        steps = range(every - 1, every * batches, every)
        rare = np.stack([schedule.rows(step) == 2 for step in steps])
        # Rows of one batch exclude each other: their variance is that of a draw without
        # replacement, a little under the multinomial one.
        per_row, per_batch = rare.sum(axis=0), rare.sum(axis=1)
        variance = (per_batch * (batch - per_batch)).sum() / (batch * (batch - 1))
        statistic = ((per_row - per_row.mean()) ** 2).sum() / variance
        assert UNLIKELY < stats.chi2.cdf(statistic, batch - 1) < 1 - UNLIKELY
        per_host = per_row.reshape(4, -1).sum(axis=1)
        assert stats.chisquare(per_host).pvalue > UNLIKELY

    def test_every_order_of_rows_is_as_likely(self):
        schedule = scheduled([1 / 3] * 3, 3, placement="even")
        orders = Counter(tuple(schedule.rows(step).tolist()) for step in range(3000))
        assert set(orders) == set(itertools.permutations(range(3)))
        assert stats.chisquare(list(orders.values())).pvalue > UNLIKELY

    def test_uses_of_random_words_do_not_share_them(self):
        keys = itertools.product((0, 1, 2**64 - 1), (0, 1, FAR), Purpose)
        words = [random_words(*key, 64) for key in keys]
        assert len(np.unique(np.concatenate(words))) == 64 * len(words)


class TestGolden:
    """The order of every recipe ever run: a change here is a new ORDER_VERSION."""

    @pytest.mark.parametrize(
        ("recipe", "rows"),
        [
            ({"placement": "iid"}, "2012010111221000"),
            ({"placement": "even"}, "1012000001221000"),
            ({"placement": "burst", "gap": 10, "background": "even"}, "3033030213333010"),
        ],
    )
    def test_rows_stay_what_they_were(self, recipe, rows):
        schedule = scheduled([0.5, 0.25, 0.2, 0.05], 16, seed=7, **recipe)
        assert "".join(map(str, schedule.rows(FAR - 1))) == rows


class TestCheck:
    def test_accepts_the_runs_of_the_paper(self):
        scheduled(PAPER, 512).check(40_000)
        scheduled(PAPER, 512, placement="even").check(40_000)
        scheduled(PAPER, 512, placement="burst", gap=1280).check(40_000)

    def test_a_run_must_expect_a_row_of_every_task(self):
        schedule = scheduled([0.6, 0.399, 0.001], 10)
        schedule.check(100)
        with pytest.raises(ConfigError) as caught:
            schedule.check(99)
        assert caught.value.field == "frequencies[2]"
        assert str(caught.value) == (
            "frequencies[2]: 0.001 is 0.99 expected rows in 99 steps of 10 rows; "
            "expected one or more: a frequency of 0.001010101, or 100 steps"
        )

    @few
    @hypothesis.given(schedules(), st.integers(1, 60))
    def test_the_remedies_are_the_nearest(self, schedule, steps):
        steps = max(steps, schedule.gap)
        try:
            schedule.check(steps)
        except ConfigError as error:
            task = int(re.fullmatch(r"frequencies\[(\d+)\]", error.field)[1])
            words = re.search(r"a frequency of (\S+), or (\d+) steps$", error.message)
            frequency, enough = float(words[1]), int(words[2])
        else:
            assert min(schedule.shares) * steps * schedule.slots >= 1 - Fraction(1, 10**6)
            return
        share, batch = schedule.shares[task], schedule.slots
        gap = schedule.gap if task in schedule.withheld else 1
        assert frequency == pytest.approx(1 / (steps // gap * gap * batch))
        assert share < frequency
        assert enough % gap == 0
        assert share * enough * batch >= 1 - Fraction(1, 10**6)
        assert share * (enough - gap) * batch < 1

    def test_the_frequency_it_names_is_enough(self):
        steps, batch = 1000, 3  # 1 / 3000 is rounded down in the message
        frequency = 1 / (steps * batch)
        named = float(f"{frequency:.8g}")
        scheduled([1 - named, named], batch).check(steps)
        with pytest.raises(ConfigError):
            scheduled([1 - 0.99 * named, 0.99 * named], batch).check(steps)

    def test_steps_after_the_last_burst_do_not_count(self):
        schedule = scheduled([0.99, 0.01], 10, placement="burst", gap=8)
        schedule.check(16)
        with pytest.raises(ConfigError, match=r"frequencies\[1\]: .* or 16 steps"):
            schedule.check(15)

    def test_a_run_must_hold_a_burst(self):
        schedule = scheduled([0.9, 0.1], 64, placement="burst", gap=8)
        schedule.check(8)
        with pytest.raises(ConfigError) as caught:
            schedule.check(7)
        assert caught.value.field == "exposure.gap"
        assert str(caught.value) == (
            "exposure.gap: 8 steps, but a run of 7 ends before the first burst; "
            "expected at most 7, or a run of 8 steps"
        )


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (
                {"frequencies": [0.5, 0.3]},
                "frequencies: they sum to 0.8; expected 1: divide each by the sum",
            ),
            (
                {"frequencies": []},
                "frequencies: they sum to 0; expected 1: divide each by the sum",
            ),
            (
                {"frequencies": [0.5, 0.50001]},
                "frequencies: they sum to 1.00001; expected 1: divide each by the sum",
            ),
            (
                {"frequencies": [0.5, 0.0, 0.5]},
                "frequencies[1]: 0; expected tasks that are never shown to stand behind all others",
            ),
            (
                {"frequencies": [-0.5, 0.5, 1.0]},
                "frequencies[0]: -0.5; expected from 0 to 1",
            ),
            (
                {"frequencies": [1.0, np.nan]},
                "frequencies[1]: nan; expected from 0 to 1",
            ),
            (
                {"frequencies": [1.0, 1e-20]},
                "frequencies[1]: 1e-20; expected from 0 to 1",
            ),
            ({"batch": 0}, "batch: 0; expected 1 or more"),
            ({"batch": 64.0}, "batch: 64.0; expected a whole number"),
            ({"gap": 0, "placement": "burst"}, "exposure.gap: 0; expected 1 or more"),
            (
                {"gap": 4},
                "exposure.gap: 4 means nothing to placement 'iid'; "
                "expected 1, or exposure.placement 'burst'",
            ),
            (
                {"placement": "brust"},
                "exposure.placement: expected 'iid' or 'even' or 'burst', got 'brust' "
                "(did you mean 'burst'?)",
            ),
            (
                {"placement": "zigzag"},
                "exposure.placement: expected 'iid' or 'even' or 'burst', got 'zigzag'",
            ),
            (
                {"background": "evn"},
                "exposure.background: expected 'iid' or 'even', got 'evn' (did you mean 'even'?)",
            ),
            (
                {"background": "burst"},
                "exposure.background: expected 'iid' or 'even', got 'burst'",
            ),
            (
                {"placement": "burst", "withheld": (3,)},
                "exposure.withheld: 3; expected -3 to 2",
            ),
            (
                {"placement": "burst", "withheld": (-4,)},
                "exposure.withheld: -4; expected -3 to 2",
            ),
            (
                {"placement": "burst", "withheld": (0, 1, -1)},
                "exposure.withheld: (0, 1, -1) withholds 3 of 3 tasks; "
                "expected one at least, and one left as background",
            ),
            (
                {"placement": "burst", "withheld": ()},
                "exposure.withheld: () withholds 0 of 3 tasks; "
                "expected one at least, and one left as background",
            ),
            ({"seed": -1}, "seed: -1; expected 0 to 18446744073709551615"),
            ({"seed": 2**64}, "seed: 18446744073709551616; expected 0 to 18446744073709551615"),
            (
                {"batch": 1, "placement": "even"},
                "batch: 1 rows are too few for even placement of 3 tasks; "
                "expected 2, the next size that works",
            ),
            (
                {"placement": "burst", "gap": 6},
                "exposure.gap: 6 steps make a burst of up to 77 rows, too many in a batch of 64; "
                "expected at most 5",
            ),
        ],
    )
    def test_recipe(self, change, error):
        with pytest.raises(ConfigError) as caught:
            scheduled(**{"frequencies": [0.5, 0.3, 0.2], "batch": 64, **change})
        assert str(caught.value) == error
        assert caught.value.field == error.partition(": ")[0]
        assert isinstance(caught.value, ValueError)

    @pytest.mark.parametrize(
        ("call", "error"),
        [
            (lambda s: s.counts(-1), "step: -1; expected 0 or more"),
            (lambda s: s.counts(1.5), "step: 1.5; expected a whole number"),
            (lambda s: s.rows(-1), "step: -1; expected 0 or more"),
            (lambda s: s.shown(-1), "step: -1; expected 0 or more"),
            (lambda s: s.exposures(-1, 5, 0), "start: -1; expected 0 or more"),
            (lambda s: s.exposures(0, -5, 0), "stop: -5; expected 0 or more"),
            (lambda s: s.exposures(0, 5, 2), "task: 2; expected -2 to 1"),
            (lambda s: s.history(-1, [0]), "step: -1; expected 0 or more"),
            (lambda s: s.history(5, [2]), "task: 2; expected -2 to 1"),
            (lambda s: s.rate(2), "task: 2; expected -2 to 1"),
            (lambda s: s.next_exposure(0, -1), "step: -1; expected 0 or more"),
            (lambda s: s.next_exposure(-3, 0), "task: -3; expected -2 to 1"),
            (lambda s: s.check(0), "steps: 0; expected 1 or more"),
        ],
    )
    @pytest.mark.parametrize("placement", ["iid", "even"])
    def test_calls(self, placement, call, error):
        with pytest.raises(ConfigError) as caught:
            call(scheduled([0.9, 0.1], 20, placement=placement))
        assert str(caught.value) == error

    def test_frequencies_may_miss_one_by_rounding(self):
        schedule = scheduled([0.5, 0.4999997], 10)
        assert sum(schedule.shares) == 1

    def test_survives_the_way_between_processes(self):
        error = pickle.loads(pickle.dumps(ConfigError("batch", "0; expected 1 or more")))
        assert (error.field, str(error)) == ("batch", "batch: 0; expected 1 or more")
