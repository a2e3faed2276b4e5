"""The bundled digits, the split, encodings, and batches."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import minnet
from minnet import Batches, load_digits, train_test_split
from minnet.data.batches import Standardize, one_hot

DATASETS = Path(__file__).parents[2] / "datasets"


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


@pytest.mark.rows("chunk_bytes", [1, 50, 100])
@pytest.mark.rows("shuffle", [True, False])
def test_data_that_are_gathered_in_several_pieces_give_the_same_batches(monkeypatch, chunk_bytes, shuffle):
    x, y = numbered(23)
    whole = [(bx.tolist(), by.tolist()) for bx, by in Batches(x, y, 4, shuffle, rng=0)]
    monkeypatch.setattr(minnet.data.batches, "CHUNK_BYTES", chunk_bytes)
    assert [(bx.tolist(), by.tolist()) for bx, by in Batches(x, y, 4, shuffle, rng=0)] == whole


@pytest.mark.rows("dtype", [np.uint8, np.bool_, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.rows("shuffle", [True, False])
def test_real_x_is_handed_out_as_float32(dtype, shuffle):
    x, y = np.array([[0, 1], [1, 0], [1, 1]], dtype), np.arange(3)
    for bx, by in Batches(x, y, 2, shuffle, rng=0):
        assert bx.dtype == np.float32
        assert np.array_equal(bx, x[by])


@pytest.mark.rows("dtype", [np.uint8, np.int32, np.int64, np.bool_])
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


@pytest.mark.rows(
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


def weighted(n):
    """n rows with their numbers as labels and, in two further arrays, as weights and as rows of integers."""
    x, ids = numbered(n)
    return x, ids, (ids * 2.0, np.stack([ids, ids + 1, ids + 2], axis=1))


@pytest.mark.rows("shuffle", [True, False])
@pytest.mark.rows("chunk_bytes", [1, 2**25])
def test_extra_arrays_are_handed_out_in_step(monkeypatch, shuffle, chunk_bytes):
    monkeypatch.setattr(minnet.data.batches, "CHUNK_BYTES", chunk_bytes)
    x, ids, extra = weighted(23)
    seen = []
    for bx, by, weights, rows in Batches(x, ids, 4, shuffle, extra=extra, rng=0):
        assert np.array_equal(bx, x[by]) and np.array_equal(weights, 2 * by) and np.array_equal(rows[:, 2], by + 2)
        assert rows.shape == (len(by), 3)
        seen += by.tolist()
    assert sorted(seen) == list(range(23))
    assert (seen == sorted(seen)) is not shuffle


def test_extra_arrays_change_neither_order_nor_batches():
    x, ids, extra = weighted(20)
    plain = [(bx.tolist(), by.tolist()) for bx, by in Batches(x, ids, 6, rng=3)]
    assert [(bx.tolist(), by.tolist()) for bx, by, *_ in Batches(x, ids, 6, extra=extra, rng=3)] == plain


def test_extra_arrays_are_treated_as_y():
    x, ids, extra = weighted(4)
    ((_, _, weights, rows),) = Batches(x, ids, 4, extra=extra)
    assert weights.dtype == np.float32 and rows.dtype == ids.dtype
    ((_, _, weights, _),) = Batches(x, ids, 4, dtype=None, extra=extra)
    assert weights.dtype == np.float64
    ((*_, listed),) = Batches(x, ids, 4, False, extra=[[1, 2, 3, 4]])
    assert listed.tolist() == [1, 2, 3, 4]


def test_a_transform_is_given_each_batch_as_it_is_handed_out_and_the_generator():
    calls = []

    def transform(x, rng):
        calls.append((x.shape, x.dtype, rng))
        return x + 100

    rng = np.random.default_rng(0)
    x, ids = numbered(10)
    for bx, by in Batches(x.astype(np.uint8), ids, 4, transform=transform, rng=rng):
        assert np.array_equal(bx[:, 0], by + 100)
        assert np.issubdtype(by.dtype, np.integer)
    assert calls == [((rows, 2), np.float32, rng) for rows in (4, 4, 2)]


def test_a_transform_leaves_extra_arrays_alone_and_may_change_the_shape_of_a_row():
    x, ids, extra = weighted(6)
    for bx, by, weights, _ in Batches(x, ids, 4, extra=extra, transform=lambda x, rng: np.stack([x, -x], axis=1)):
        assert bx.shape == (len(by), 2, 2)
        assert np.array_equal(bx[:, 1, 0], -by) and np.array_equal(weights, 2 * by)


def test_every_walk_is_transformed_anew_and_the_same_seed_gives_the_same_walks():
    def noisy(x, rng):
        return x + rng.normal(size=x.shape)

    def walks(seed):
        batches = Batches(*numbered(10), 4, False, transform=noisy, rng=seed)
        return [np.concatenate([x for x, _ in batches]).tolist() for _ in range(2)]

    first, again, other = walks(1), walks(1), walks(2)
    assert first == again != other
    assert first[0] != first[1]


@pytest.mark.rows(("dtype", "expected"), [(np.float32, np.float32), (np.float64, np.float64), (None, np.float64)])
def test_what_a_transform_promotes_is_cast_back_if_a_dtype_is_asked_for(dtype, expected):
    x, ids = numbered(4)
    batches = Batches(x, ids, 2, dtype=dtype, transform=lambda x, rng: x * np.ones(2))
    assert {bx.dtype for bx, _ in batches} == {np.dtype(expected)}


@pytest.mark.rows("shuffle", [True, False])
def test_a_transform_that_writes_into_its_batch_does_not_change_the_data(shuffle):
    def negate(x, rng):
        x *= -1
        return x

    x, ids = numbered(10)
    batches = Batches(x, ids, 4, shuffle, transform=negate, rng=0)
    for _ in range(2):
        for bx, by in batches:
            assert np.array_equal(bx[:, 0], -by)
    assert np.array_equal(x, numbered(10)[0])


@pytest.mark.rows(
    ("transform", "error", "text"),
    [
        (lambda x, rng: x[:-1], ValueError, r"4 rows for x \(4, 2\), got \(3, 2\)"),
        (lambda x, rng: 1.0, ValueError, r"4 rows .* got \(\)"),
        (lambda x, rng: None, TypeError, "transform: expected real numbers"),
        (lambda x, rng: x * 1j, TypeError, "transform: expected real numbers"),
    ],
)
def test_a_transform_that_gives_something_else_is_refused(transform, error, text):
    with pytest.raises(error, match=f"^Batches: .*{text}"):
        next(iter(Batches(*numbered(10), 4, transform=transform)))


@pytest.mark.rows(
    ("change", "error", "text"),
    [
        ({"extra": np.ones(4)}, TypeError, "extra to be a tuple of arrays, got ndarray"),
        ({"extra": (np.ones(4), np.ones(3))}, ValueError, r"extra\[1\] .* 4 samples, got \(3,\)"),
        ({"extra": (1.0,)}, ValueError, r"extra\[0\] .* got \(\)"),
        ({"transform": "flip"}, TypeError, "transform .* got 'flip'"),
    ],
)
def test_extra_arrays_and_transforms_are_checked_when_batches_are_made(change, error, text):
    with pytest.raises(error, match=f"^Batches: expected {text}"):
        Batches(*numbered(4), 2, **change)


def test_one_hot_rows_are_one_at_the_label():
    result = one_hot([2, 0, 1, 2])
    assert result.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert result.dtype == np.float32


@pytest.mark.rows("dtype", [np.uint8, np.int16, np.uint64])
def test_one_hot_takes_labels_of_any_integer_dtype_and_rank(dtype):
    assert one_hot(np.array([[0, 1], [1, 0]], dtype), 3).tolist() == [[[1, 0, 0], [0, 1, 0]], [[0, 1, 0], [1, 0, 0]]]
    assert one_hot(dtype(1)).tolist() == [0, 1]
    assert one_hot(np.array([255], np.uint8)).shape == (1, 256)


def test_one_hot_of_no_labels_has_no_rows():
    assert one_hot([], classes=4).shape == (0, 4)


@pytest.mark.rows(
    ("y", "classes", "error", "text"),
    [
        ([0, 3], 3, ValueError, "from 0 to 2, got 0 to 3"),
        ([-1, 1], None, ValueError, "labels of at least 0, got -1$"),
        ([-1], None, ValueError, "labels of at least 0, got -1$"),
        ([5, -2], 3, ValueError, "labels of at least 0, got -2$"),
        ([], None, ValueError, "expected classes"),
        ([0.0, 1.0], None, TypeError, "float64"),
        ([True, False], None, TypeError, "bool"),
        (["0"], None, TypeError, "integer labels"),
        ([0], 0, ValueError, "classes"),
        ([0], 2.0, TypeError, "classes"),
    ],
)
def test_what_are_not_labels_of_these_classes_is_refused(y, classes, error, text):
    with pytest.raises(error, match=f"^one_hot: .*{text}"):
        one_hot(np.array(y), classes)


def test_standardized_features_are_measured_in_standard_deviations_from_the_mean():
    x = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0], [7.0, 30.0]])
    scale = Standardize()
    result = scale.fit_transform(x)
    assert scale.mean.tolist() == [4, 30]
    assert scale.std == pytest.approx([5**0.5, 200**0.5], rel=1e-15)
    assert result[:, 0] == pytest.approx([-3 / 5**0.5, -1 / 5**0.5, 1 / 5**0.5, 3 / 5**0.5], rel=1e-15)
    assert result[:, 1] == pytest.approx([-(2**0.5), 0, 2**0.5, 0], rel=1e-15)


def test_the_test_part_is_measured_by_the_training_part():
    scale = Standardize().fit([[0.0], [2.0]])
    assert scale.transform([[4.0], [1.0]]).tolist() == [[3], [0]]
    assert scale.transform([4.0]).tolist() == [3]
    assert scale.fit([[0.0], [4.0]]).transform([[4.0]]).tolist() == [[1]]


@pytest.mark.rows("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int64])
@pytest.mark.rows("value", [0.1, 7, 99.9])
def test_constant_features_become_zero_and_stay_finite(dtype, value):
    scale = Standardize()
    x = np.full((1000, 2), value, dtype)
    x[:, 1] = np.arange(1000) % 2
    assert (scale.fit_transform(x)[:, 0] == 0).all()
    x[0, 0] += 1
    assert np.isfinite(scale.transform(x)).all()


@pytest.mark.rows(
    ("dtype", "expected"),
    [
        (np.float16, np.float16),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.uint8, np.float32),
        (np.int64, np.float32),
        (np.bool_, np.float32),
    ],
)
def test_standardized_floats_keep_their_dtype_and_the_rest_becomes_float32(dtype, expected):
    x = np.array([[0, 1], [1, 1], [1, 0]], dtype)
    scale = Standardize().fit(x)
    assert scale.transform(x).dtype == expected
    assert scale.mean.dtype == scale.std.dtype == np.float64


def test_statistics_are_computed_in_float64():
    x = np.repeat(np.array([[10_000_000.0], [10_000_001.0]], np.float32), 5000, axis=0)
    scale = Standardize().fit(x)
    assert scale.mean == pytest.approx([10_000_000.5], rel=1e-15) and scale.std == pytest.approx([0.5], rel=1e-12)
    assert np.unique(scale.transform(x)).tolist() == [-1, 1]
    half = np.full((3000, 1), 60000, np.float16)
    half[::2] = 59968
    assert Standardize().fit(half).std == pytest.approx([16], rel=1e-12)


@pytest.mark.rows("shape", [(60, 3), (5, 12, 3), (2, 5, 6, 3)])
def test_features_are_on_the_last_axis_whatever_the_rank(shape):
    rows = np.random.default_rng(0).normal(3, 2, (60, 3))
    scale = Standardize()
    result = scale.fit_transform(rows.reshape(shape))
    assert result.shape == shape
    assert np.allclose(result.reshape(60, 3), Standardize().fit_transform(rows), rtol=1e-12, atol=1e-14)
    assert result.reshape(60, 3).mean(axis=0) == pytest.approx(0, abs=1e-14)
    assert result.reshape(60, 3).std(axis=0) == pytest.approx(1, rel=1e-14)


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_standardize_writes_into_nothing_and_shares_nothing(dtype):
    x = np.array([[0, 1], [2, 1]], dtype)
    x.flags.writeable = False
    result = Standardize().fit_transform(x)
    assert not np.shares_memory(result, x) and result.flags.writeable


def test_transform_before_fit_is_named():
    with pytest.raises(RuntimeError, match=r"^Standardize: transform before fit"):
        Standardize().transform([[1.0]])


@pytest.mark.rows(
    ("x", "error", "text"),
    [
        ([1.0, 2.0], ValueError, r"shape \(N, ..., D\).*\(2,\)"),
        (3.0, ValueError, r"shape \(N, ..., D\)"),
        (np.zeros((0, 2)), ValueError, r"\(0, 2\)"),
        ([[1.0, np.nan]], ValueError, "finite"),
        ([[1.0, np.inf]], ValueError, "finite"),
        ([[1j, 2]], TypeError, "complex"),
        ([["a"]], TypeError, "real numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused_and_changes_nothing(x, error, text):
    scale = Standardize().fit([[0.0, 0.0], [2.0, 2.0]])
    with pytest.raises(error, match=f"^Standardize: .*{text}"):
        scale.fit(x)
    assert scale.transform([[2.0, 4.0]]).tolist() == [[1, 3]]


@pytest.mark.rows("x", [[[1.0, 2.0, 3.0]], [[1.0]], 1.0])
def test_other_features_than_those_fitted_are_refused(x):
    scale = Standardize().fit([[0.0, 0.0], [2.0, 2.0]])
    with pytest.raises(ValueError, match=r"^Standardize: expected x of shape \(..., 2\), got"):
        scale.transform(x)
