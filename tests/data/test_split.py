from collections import Counter

import numpy as np
import pytest

import minnet
from minnet import Batches, train_test_split


def numbered(n):
    """n rows that can be told apart, each with its number as its label."""
    ids = np.arange(n)
    return np.stack([ids, ids + 0.5], axis=1).astype(np.float32), ids


def test_a_split_returns_scikit_learns_order_of_parts():
    x, y = numbered(10)
    x_train, x_test, y_train, y_test = train_test_split(x, y, 3, stratify=False, rng=0)
    assert x_train.shape == (7, 2) and x_test.shape == (3, 2)
    assert y_train.shape == (7,) and y_test.shape == (3,)


@pytest.mark.rows("stratify", [True, False])
def test_a_split_loses_nothing_repeats_nothing_and_keeps_pairs(stratify):
    x, ids = numbered(50)
    y = ids % 5 if stratify else ids
    x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=stratify, rng=0)
    seen = np.concatenate([x_train, x_test])[:, 0].astype(int)
    assert sorted(seen) == list(range(50))
    assert np.array_equal(y[seen], np.concatenate([y_train, y_test]))


# The sizes are those that scikit-learn gives.
@pytest.mark.rows(
    ("n", "test_size", "expected"),
    [(10, 0.2, 2), (11, 0.2, 3), (9, 0.25, 3), (100, 0.07, 8), (30, 0.1, 3), (1797, 0.2, 360)],
)
def test_the_size_of_the_test_part_is_rounded_up(n, test_size, expected):
    x, y = numbered(n)
    for stratify in (True, False):
        *_, y_test = train_test_split(x, y % 2, test_size, stratify=stratify, rng=0)
        assert len(y_test) == expected


def test_an_int_is_a_number_of_samples():
    x, y = numbered(10)
    for test_size in (1, np.int64(1)):
        assert len(train_test_split(x, y % 2, test_size, rng=0)[1]) == 1


@pytest.mark.rows(
    ("counts", "test_size"),
    [
        ([50, 50], 0.2),
        ([178, 182, 177, 183, 181], 0.2),
        ([97, 2, 1], 0.3),
        ([1, 1, 1, 1], 0.5),
        ([3, 3, 3], 0.34),
        ([990, 10], 0.05),
        ([7, 11, 13, 17], 0.37),
        ([1000, 5, 5, 5, 5], 104),
        ([2000] + [5] * 40, 0.1),
        ([1000] + [7] * 30, 0.93),
    ],
)
def test_every_class_has_its_share_of_both_parts_to_within_one_sample(counts, test_size):
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.zeros((len(y), 1))
    for seed in range(5):
        _, _, y_train, y_test = train_test_split(x, y, test_size, rng=seed)
        for part in (y_train, y_test):
            fair = np.array(counts) * len(part) / len(y)
            assert abs(np.bincount(part, minlength=len(counts)) - fair).max() < 1 + 1e-9


def test_classes_have_their_shares_where_counts_are_of_32_bits(monkeypatch):
    unique = np.unique
    monkeypatch.setattr(np, "unique", lambda y, **wanted: tuple(a.astype(np.int32) for a in unique(y, **wanted)))
    y = np.repeat([0, 1], [90_000, 10_000])
    *_, y_test = train_test_split(np.zeros((100_000, 1)), y, 0.3, rng=0)
    assert np.bincount(y_test).tolist() == [27_000, 3_000]


def test_labels_of_any_kind_stratify():
    y = np.array(["cat"] * 8 + ["dog"] * 4)
    *_, y_test = train_test_split(np.zeros((12, 1)), y, 0.25, rng=0)
    assert Counter(y_test.tolist()) == {"cat": 2, "dog": 1}


def test_a_split_is_random_within_a_class():
    x, y = numbered(40)
    parts = {tuple(sorted(train_test_split(x, y % 2, 0.2, rng=seed)[1][:, 0])) for seed in range(10)}
    assert len(parts) == 10
    order = train_test_split(x, y % 2, 0.2, rng=0)[0][:, 0].tolist()
    assert order != sorted(order)


def test_the_same_seed_gives_the_same_split():
    x, y = numbered(40)
    first, again, other = (train_test_split(x, y % 2, rng=seed)[1] for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    minnet.seed(5)
    first = train_test_split(x, y % 2)[1]
    minnet.seed(5)
    assert np.array_equal(first, train_test_split(x, y % 2)[1])


@pytest.mark.rows("test_size", [0, 10, -1, 0.0, 1.0, 1.5, float("nan"), True, "0.2"])
def test_a_part_that_would_be_empty_or_a_size_that_is_none_is_refused(test_size):
    x, y = numbered(10)
    with pytest.raises((ValueError, TypeError)):
        train_test_split(x, y % 2, test_size)


@pytest.mark.rows("y", [np.zeros((10, 2), int), np.zeros(10)])
def test_what_are_not_labels_cannot_stratify_but_can_be_split(y):
    x, _ = numbered(10)
    with pytest.raises(ValueError, match="stratify=False"):
        train_test_split(x, y)
    assert len(train_test_split(x, y, stratify=False)[3]) == 2


@pytest.mark.rows(("x", "y"), [(np.zeros((3, 2)), np.zeros(4, int)), (np.zeros((0, 2)), np.zeros(0, int)), (1.0, 2)])
def test_data_that_are_not_pairs_are_refused(x, y):
    with pytest.raises(ValueError, match="train_test_split: "):
        train_test_split(x, y)
    with pytest.raises(ValueError, match="Batches: "):
        Batches(x, y, 2)


@pytest.mark.rows(
    ("change", "error", "text"),
    [
        ({"x": [[1], [2, 3]]}, ValueError, r"x to be an array with rows of one shape, got \(1,\) in row 0"),
        ({"x": np.ma.masked_equal([[1.0], [9.0]], 9)}, TypeError, "x to be an array, got a masked array"),
        ({"y": np.ma.masked_equal([1, 9], 9)}, TypeError, "y to be an array, got a masked array"),
        ({"y": np.array([0, None], object)}, TypeError, "y to be an array of real numbers, .*NoneType, int"),
    ],
)
def test_what_an_array_would_lose_is_not_split(change, error, text):
    with pytest.raises(error, match=f"^train_test_split: expected {text}"):
        train_test_split(**({"x": [[1.0], [2.0]], "y": [0, 1], "stratify": False} | change))


def test_labels_of_objects_that_are_texts_stratify():
    *_, y_test = train_test_split(np.zeros((12, 1)), np.array(["cat"] * 8 + ["dog"] * 4, object), 0.25, rng=0)
    assert Counter(y_test.tolist()) == {"cat": 2, "dog": 1}


def test_what_is_read_in_slices_is_not_split_and_the_error_says_what_to_do(stored):
    x, y = numbered(10)
    with pytest.raises(TypeError, match=r"^train_test_split: expected x in memory, got a Stored, .* pass x\[:\]"):
        train_test_split(stored(x), y % 2)
    with pytest.raises(TypeError, match=r"^train_test_split: expected y in memory, got a Stored, .* pass y\[:\]"):
        train_test_split(x, stored(y % 2))


def test_parts_of_half_precision_and_of_arrays_that_are_only_read_keep_their_dtype_and_can_be_written_to():
    x, y = numbered(10)
    x = x.astype(np.float16)
    x.flags.writeable = y.flags.writeable = False
    for part in train_test_split(x, y % 2, rng=0):
        assert part.flags.writeable
    assert part.dtype == y.dtype and train_test_split(x, y % 2, rng=0)[0].dtype == np.float16


@pytest.mark.rows("stratify", [np.array([0, 1]), "y", None])
def test_stratify_is_true_or_false(stratify):
    with pytest.raises(TypeError, match="train_test_split: expected stratify to be True or False"):
        train_test_split(np.ones((4, 1)), np.array([0, 1, 0, 1]), stratify=stratify)
