"""The bundled digits, the split, and batches."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import minnet
from minnet import Batches, load_digits, train_test_split

DATASETS = Path(__file__).parent.parent / "datasets"


def numbered(n):
    """n rows that can be told apart, each with its number as its label."""
    ids = np.arange(n)
    return np.stack([ids, ids + 0.5], axis=1).astype(np.float32), ids


def orders(batches, walks):
    """The rows of several walks, by their numbers."""
    return [np.concatenate([y for _, y in batches]).tolist() for _ in range(walks)]


def test_the_digits_have_the_promised_shapes_and_dtypes():
    x, y = load_digits()
    assert x.shape == (1797, 64) and x.dtype == np.float32
    assert y.shape == (1797,) and y.dtype == np.int64


def test_the_digits_are_those_of_scikit_learn_in_its_order():
    x, y = load_digits()
    assert np.array_equal(x * 16, np.round(x * 16))
    arrays = (x * 16).astype(np.uint8), y.astype(np.uint8)
    # scikit-learn gives these for load_digits().data and .target as uint8.
    assert [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays] == [
        "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3",
        "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0",
    ]
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (x[0, :16] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]


def test_the_data_file_is_small():
    assert (DATASETS / "digits.npz").stat().st_size <= 60_000


def test_the_data_come_with_their_source_and_licence():
    text = (DATASETS / "README.md").read_text(encoding="utf-8")
    words = (
        "Alpaydin",
        "Kaynak",
        "Optical Recognition of Handwritten Digits",
        "UCI",
        "CC BY 4.0",
        "creativecommons.org/licenses/by/4.0",
    )
    assert [word for word in words if word not in text] == []


def test_a_split_returns_scikit_learns_order_of_parts():
    x, y = numbered(10)
    x_train, x_test, y_train, y_test = train_test_split(x, y, 3, stratify=False, rng=0)
    assert x_train.shape == (7, 2) and x_test.shape == (3, 2)
    assert y_train.shape == (7,) and y_test.shape == (3,)


@pytest.mark.parametrize("stratify", [True, False])
def test_a_split_loses_nothing_repeats_nothing_and_keeps_pairs(stratify):
    x, ids = numbered(50)
    y = ids % 5 if stratify else ids
    x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=stratify, rng=0)
    seen = np.concatenate([x_train, x_test])[:, 0].astype(int)
    assert sorted(seen) == list(range(50))
    assert np.array_equal(y[seen], np.concatenate([y_train, y_test]))


# The sizes are those that scikit-learn gives.
@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("test_size", [0, 10, -1, 0.0, 1.0, 1.5, float("nan"), True, "0.2"])
def test_a_part_that_would_be_empty_or_a_size_that_is_none_is_refused(test_size):
    x, y = numbered(10)
    with pytest.raises((ValueError, TypeError)):
        train_test_split(x, y % 2, test_size)


@pytest.mark.parametrize("y", [np.zeros((10, 2), int), np.zeros(10)])
def test_what_are_not_labels_cannot_stratify_but_can_be_split(y):
    x, _ = numbered(10)
    with pytest.raises(ValueError, match="stratify=False"):
        train_test_split(x, y)
    assert len(train_test_split(x, y, stratify=False)[3]) == 2


@pytest.mark.parametrize(
    ("x", "y"), [(np.zeros((3, 2)), np.zeros(4, int)), (np.zeros((0, 2)), np.zeros(0, int)), (1.0, 2)]
)
def test_data_that_are_not_pairs_are_refused(x, y):
    with pytest.raises(ValueError, match="train_test_split: "):
        train_test_split(x, y)
    with pytest.raises(ValueError, match="Batches: "):
        Batches(x, y, 2)


def test_the_last_short_batch_is_kept_and_counted():
    batches = Batches(*numbered(10), batch_size=4)
    assert len(batches) == 3
    assert [x.shape for x, _ in batches] == [(4, 2), (4, 2), (2, 2)]
    assert len(Batches(*numbered(8), batch_size=4)) == 2
    assert [len(x) for x, _ in Batches(*numbered(3), batch_size=100)] == [3]


def test_every_row_comes_once_in_every_epoch():
    batches = Batches(*numbered(23), batch_size=4, rng=0)
    assert [sorted(order) for order in orders(batches, 5)] == [list(range(23))] * 5


def test_rows_are_reshuffled_every_epoch_and_not_only_batches():
    batches = Batches(*numbered(20), batch_size=5, rng=0)
    epochs = [{frozenset(y.tolist()) for _, y in batches} for _ in range(4)]
    for i, epoch in enumerate(epochs):
        for other in epochs[:i]:
            assert not epoch & other


def test_every_order_can_occur():
    batches = Batches(*numbered(4), batch_size=3, rng=0)
    assert len({tuple(order) for order in orders(batches, 400)}) == 24


def test_x_and_y_stay_paired():
    for x, y in Batches(*numbered(23), batch_size=4, rng=0):
        assert x[:, 0].tolist() == y.tolist()


def test_two_walks_at_once_do_not_disturb_each_other():
    batches = Batches(*numbered(12), batch_size=5, rng=0)
    walks = list(zip(batches, batches))
    for side in (0, 1):
        assert sorted(np.concatenate([pair[side][1] for pair in walks])) == list(range(12))


@pytest.mark.parametrize("chunk_bytes", [1, 64, 100])
@pytest.mark.parametrize("shuffle", [True, False])
def test_data_that_are_gathered_in_several_pieces_give_the_same_batches(monkeypatch, chunk_bytes, shuffle):
    x, y = numbered(23)
    whole = [(bx.tolist(), by.tolist()) for bx, by in Batches(x, y, 4, shuffle, rng=0)]
    monkeypatch.setattr(minnet.data, "CHUNK_BYTES", chunk_bytes)
    assert [(bx.tolist(), by.tolist()) for bx, by in Batches(x, y, 4, shuffle, rng=0)] == whole


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shuffle", [True, False])
def test_real_x_is_handed_out_as_float32(dtype, shuffle):
    x, y = np.array([[0, 1], [1, 0], [1, 1]], dtype), np.arange(3)
    for bx, by in Batches(x, y, 2, shuffle, rng=0):
        assert bx.dtype == np.float32
        assert np.array_equal(bx, x[by])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.bool_])
def test_labels_keep_their_dtype(dtype):
    x, y = numbered(3)
    assert {by.dtype for _, by in Batches(x, y.astype(dtype), 2)} == {np.dtype(dtype)}


def test_floating_targets_become_float32():
    x, y = numbered(3)
    assert {by.dtype for _, by in Batches(x, y / 3, 2)} == {np.dtype(np.float32)}


def test_another_dtype_can_be_asked_for():
    x, y = numbered(3)
    for bx, by in Batches(x, y / 3, 2, dtype=np.float64):
        assert bx.dtype == by.dtype == np.float64


def test_token_ids_stay_integers_when_no_dtype_is_asked_for():
    ids, targets = np.array([[5, 6, 7], [8, 9, 10]], np.int32), np.array([0.5, 1.5])
    for bx, by in Batches(ids, targets, 1, dtype=None):
        assert bx.dtype == np.int32 and by.dtype == np.float64


def test_without_shuffling_the_rows_come_in_order_and_are_not_copied():
    x, y = numbered(10)
    x.flags.writeable = y.flags.writeable = False
    batches = Batches(x, y, 4, shuffle=False)
    assert orders(batches, 2) == [list(range(10))] * 2
    assert all(np.shares_memory(bx, x) for bx, _ in batches)


def test_walking_leaves_the_data_as_they_were():
    x, y = numbered(10)
    for bx, by in Batches(x, y, 4, rng=0):
        bx[...], by[...] = -1, -1
    assert np.array_equal(x, numbered(10)[0]) and np.array_equal(y, np.arange(10))


def test_the_order_follows_the_generator_that_is_given_or_the_packages():
    data = numbered(20)
    assert orders(Batches(*data, 4, rng=7), 2) == orders(Batches(*data, 4, rng=np.random.default_rng(7)), 2)
    assert orders(Batches(*data, 4, rng=7), 1) != orders(Batches(*data, 4, rng=8), 1)
    batches = Batches(*data, 4)
    minnet.seed(7)
    first = orders(batches, 2)
    minnet.seed(7)
    assert orders(batches, 2) == first


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"x": np.zeros(4)}, ValueError, "feature axis"),
        ({"x": np.zeros((4, 2), complex)}, TypeError, "complex"),
        ({"x": np.full((4, 2), "a")}, TypeError, "real numbers"),
        ({"x": np.full((4, 2), None)}, TypeError, "object"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": -1}, ValueError, "batch_size"),
        ({"batch_size": 2.0}, TypeError, "batch_size"),
        ({"batch_size": True}, TypeError, "batch_size"),
        ({"rng": "seed"}, TypeError, "Generator"),
        ({"dtype": "nonsense"}, TypeError, "nonsense"),
    ],
)
def test_wrong_arguments_are_refused_when_batches_are_made(change, error, text):
    with pytest.raises(error, match=text):
        Batches(**({"x": np.zeros((4, 2)), "y": np.arange(4), "batch_size": 2} | change))
