import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.schedule.shuffle import permute

SEEDS = st.integers(0, 2**64 - 1)


@given(st.integers(1, 3000), SEEDS, st.integers(0, 10**6))
def test_every_number_stands_in_one_place(size, seed, epoch):
    order = permute(np.arange(size), size, seed, epoch)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))


@given(st.integers(2**40, 2**62), SEEDS)
def test_sizes_that_no_table_could_hold(size, seed):
    places = np.array([0, 1, size // 2, size - 1])
    order = permute(places, size, seed, 3)
    assert (order >= 0).all() and (order < size).all() and len(set(order.tolist())) == 4


@given(SEEDS, st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_each_index_can_have_its_own_epoch(seed, epochs):
    indices = np.arange(len(epochs)) % 17
    order = permute(indices, 17, seed, np.array(epochs))
    alone = [permute(np.array([i]), 17, seed, e)[0] for i, e in zip(indices, epochs, strict=True)]
    np.testing.assert_array_equal(order, alone)


def test_indices_may_have_any_shape():
    square = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(
        permute(square, 12, 1, 2), permute(square.ravel(), 12, 1, 2).reshape(3, 4)
    )
    assert permute(np.array([], np.int64), 12, 1, 2).shape == (0,)


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = {
        tuple(permute(np.arange(100), 100, seed, epoch)) for seed in range(8) for epoch in range(8)
    }
    assert len(orders) == 64


@pytest.mark.parametrize(("size", "orders"), [(2, 2), (3, 6), (4, 24)])
def test_small_sizes_have_every_order_about_as_often(size, orders):
    draws = 200 * orders
    found = [tuple(permute(np.arange(size), size, 7, epoch)) for epoch in range(draws)]
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == orders
    # Chi-squared with up to 23 degrees of freedom: beyond 60 once in 30,000 seeds.
    assert ((counts - 200) ** 2 / 200).sum() < 60


def test_neighbours_land_anywhere():
    size = 50_000
    order = permute(np.arange(size), size, 5, 1)
    steps = np.bincount((np.diff(order) % size) * 20 // size, minlength=20)
    assert ((steps - size / 20) ** 2 / (size / 20)).sum() < 60  # 19 degrees of freedom
    assert abs(np.corrcoef(order, np.arange(size))[0, 1]) < 0.03


def test_an_order_never_changes():
    """Runs are resumed by newer versions: these numbers may change with ORDER_VERSION alone."""
    assert permute(np.arange(10), 10, 0, 0).tolist() == [1, 8, 9, 2, 7, 0, 4, 6, 3, 5]
    far = permute(np.array([0, 10**9]), 10**12, 3, 2)
    assert far.tolist() == [524910893222, 511723760642]


def test_a_million_places_take_a_moment():
    indices = np.arange(1_000_000)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        permute(indices, 10**9, 0, 0)
        taken.append(time.perf_counter() - start)
    assert min(taken) < 1.0  # 0.05 on an idle core
