import tracemalloc

import numpy as np
import pytest

import minnet
from minnet import Batches


def numbered(n):
    """n rows that can be told apart, each with its number as its label."""
    ids = np.arange(n)
    return np.stack([ids, ids + 0.5], axis=1).astype(np.float32), ids


def weighted(n):
    """n rows with their numbers as labels and, in two further arrays, as weights and as rows of integers."""
    x, ids = numbered(n)
    return x, ids, (ids * 2.0, np.stack([ids, ids + 1, ids + 2], axis=1))


def orders(batches, epochs):
    """The order of the rows in each of several epochs, by their numbers."""
    return [np.concatenate([y for _, y in batches]).tolist() for _ in range(epochs)]


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


def test_two_iterations_at_once_do_not_disturb_each_other():
    batches = Batches(*numbered(12), batch_size=5, rng=0)
    pairs = list(zip(batches, batches))
    for side in (0, 1):
        assert sorted(np.concatenate([pair[side][1] for pair in pairs])) == list(range(12))


@pytest.mark.rows("chunk_bytes", [1, 50, 100])
@pytest.mark.rows("shuffle", [True, False])
def test_data_that_are_gathered_in_several_pieces_give_the_same_batches(monkeypatch, chunk_bytes, shuffle):
    x, y = numbered(23)
    whole = [(bx.tolist(), by.tolist()) for bx, by in Batches(x, y, 4, shuffle, rng=0)]
    monkeypatch.setattr(minnet.data.batches, "CHUNK_BYTES", chunk_bytes)
    assert [(bx.tolist(), by.tolist()) for bx, by in Batches(x, y, 4, shuffle, rng=0)] == whole


@pytest.mark.rows("dtype", [np.uint8, np.bool_, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.rows("shuffle", [True, False])
def test_real_x_becomes_float32_in_a_batch(dtype, shuffle):
    x, y = np.array([[0, 1], [1, 0], [1, 1]], dtype), np.arange(3)
    for bx, by in Batches(x, y, 2, shuffle, rng=0):
        assert bx.dtype == np.float32
        assert np.array_equal(bx, x[by])


@pytest.mark.rows("shuffle", [True, False])
def test_a_value_that_the_dtype_cannot_hold_is_named_where_it_is_cast(shuffle):
    x, y = np.array([[1.0], [1e300]]), np.array([1.0, 1e300])
    with pytest.raises(ValueError, match=r"^Batches: x: expected values that float32 can hold, got 1e\+300$"):
        list(Batches(x, [0, 1], 1, shuffle))
    with pytest.raises(ValueError, match=r"^Batches: y or extra: expected values that float32 can hold, got 1e\+300$"):
        list(Batches([[1.0], [2.0]], y, 1, shuffle))
    with pytest.raises(ValueError, match=r"^Batches: transform: expected values that float32 can hold, got 1e\+300$"):
        list(Batches([[1.0], [2.0]], y > 1, 1, shuffle, transform=lambda a, rng: np.full((1, 1), 1e300)))
    assert [bx.tolist() for bx, _ in Batches(x, y, 1, False, dtype=np.float64)] == [[[1.0]], [[1e300]]]


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


def test_without_shuffling_the_rows_come_in_order():
    assert orders(Batches(*numbered(10), 4, shuffle=False), 2) == [list(range(10))] * 2


@pytest.mark.rows("shuffle", [True, False])
@pytest.mark.rows("dtype", [np.float32, np.float64, None])
@pytest.mark.rows("readonly", [True, False])
def test_batches_can_be_written_into_and_leave_the_data_as_they_were(shuffle, dtype, readonly):
    x, y, extra = weighted(10)
    for array in (x, y, *extra):
        array.flags.writeable = not readonly
    for batch in Batches(x, y, 4, shuffle, dtype=dtype, extra=extra, rng=0):
        for array in batch:
            array[...] = -1
    for array, before in zip((x, y, *extra), (*numbered(10), *weighted(10)[2])):
        assert np.array_equal(array, before)


@pytest.mark.rows("shuffle", [True, False])
def test_a_memory_map_is_not_read_whole_nor_written_to(tmp_path, shuffle):
    x, y = numbered(20_000)
    np.save(tmp_path / "x.npy", np.tile(x, 50))
    file = np.load(tmp_path / "x.npy", mmap_mode="r")
    batches = Batches(file, y, 100, shuffle, rng=0)
    assert np.shares_memory(batches.x, file)
    for bx, by in batches:
        assert np.array_equal(bx[:, 98], by)
        bx[...] = 0
    assert np.array_equal(file[:, :2], x)


def test_a_last_batch_that_is_shorter_can_be_left_out():
    batches = Batches(*numbered(10), 4, False, drop_last=True)
    assert len(batches) == 2
    assert [y.tolist() for _, y in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(Batches(*numbered(8), 4, drop_last=np.True_)) == len([*Batches(*numbered(8), 4, drop_last=True)]) == 2


def test_shuffled_it_is_another_rest_that_is_left_out_each_epoch():
    batches = Batches(*numbered(10), 4, drop_last=True, extra=(np.arange(10),), rng=0)
    left_out = [frozenset(range(10)) - {i for _, y, _ in batches for i in y.tolist()} for _ in range(5)]
    assert {len(rows) for rows in left_out} == {2} and len({*left_out}) > 1


def test_a_batch_norm_trains_where_the_last_batch_of_one_is_left_out():
    x, y = numbered(9)
    model = minnet.Sequential(minnet.BatchNorm(2), minnet.Linear(2, 9), minnet.SoftmaxCrossEntropy())
    history = minnet.fit(
        model, minnet.SGD(model.parameters(), 0.1), Batches(x, y, 4, drop_last=True), 2, progress=False
    )
    assert len(history["loss"]) == 2


@pytest.mark.rows("chunk_bytes", [1, 200, 2**25])
@pytest.mark.rows("drop_last", [True, False])
def test_data_in_a_file_that_are_not_shuffled_give_the_batches_of_the_array(
    monkeypatch, stored, chunk_bytes, drop_last
):
    monkeypatch.setattr(minnet.data.batches, "CHUNK_BYTES", chunk_bytes)
    x, y, extra = weighted(23)
    expected, got = (
        [[(array.dtype, array.tolist()) for array in batch] for batch in batches]
        for batches in (
            Batches(x, y, 4, False, extra=extra, drop_last=drop_last),
            Batches(stored(x), stored(y), 4, False, extra=tuple(map(stored, extra)), drop_last=drop_last),
        )
    )
    assert got == expected


@pytest.mark.rows("chunk_bytes", [1, 600, 2**25])
@pytest.mark.rows("dtype", [np.float32, np.float64, None])
def test_data_in_a_file_stay_paired_and_each_row_comes_once(monkeypatch, stored, chunk_bytes, dtype):
    monkeypatch.setattr(minnet.data.batches, "CHUNK_BYTES", chunk_bytes)
    x, ids, (weights, rows) = weighted(123)
    for data in ((stored(x), ids, (weights, stored(rows))), (x, stored(ids), (stored(weights), rows))):
        batches = Batches(
            *data[:2], 4, dtype=dtype, extra=data[2], transform=lambda x, rng: x + 1, drop_last=True, rng=0
        )
        seen = []
        for bx, by, bw, br in batches:
            assert np.array_equal(bx, x[by] + 1) and np.array_equal(bw, 2 * by) and np.array_equal(br[:, 1], by + 1)
            assert bx.dtype == (dtype or np.float32) and bw.dtype == (dtype or np.float64) and br.dtype == ids.dtype
            seen += by.tolist()
        assert len({*seen}) == len(seen) == 120


def test_data_in_a_file_that_fit_into_memory_are_shuffled_as_an_array_is(stored):
    x, y = numbered(50)
    assert orders(Batches(stored(x), stored(y), 7, rng=3), 2) == orders(Batches(x, y, 7, rng=3), 2)


def test_data_in_a_file_are_read_once_an_epoch_and_little_of_them_is_in_memory(monkeypatch, computed):
    monkeypatch.setattr(minnet.data.batches, "CHUNK_BYTES", 2**19)
    x, y = computed(2**19), np.arange(2**19)  # 32 MiB
    for shuffle in (True, False):
        batches = Batches(x, y, 64, shuffle, rng=0)
        x.read.clear()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for bx, by in batches:
            assert bx[-1, -1] == by[-1]
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        assert peak < 2**21
        assert sum(stop - start for start, stop in x.read) == 2**19
        assert len(x.read) < 2**19 // 200  # slices of 200 rows and more


def test_of_data_in_a_file_nothing_is_read_before_the_first_batch_and_what_is_not_real_is_refused(stored):
    x, y = stored(numbered(50)[0]), np.arange(50)
    Batches(x, y, 7)
    assert not any(stop - start for start, stop in x.read)
    with pytest.raises(TypeError, match=r"^Batches: x: expected real numbers, got an array of dtype object;"):
        Batches(stored(numbered(50)[0].astype(object)), y, 7)


def test_a_model_is_evaluated_on_data_in_a_file(stored):
    x, y = numbered(50)
    model = minnet.Sequential(minnet.Linear(2, 50, rng=0), minnet.SoftmaxCrossEntropy())
    expected = minnet.evaluate(model, Batches(x, y, 7, False))
    assert minnet.evaluate(model, Batches(stored(x), stored(y), 7, False)) == expected


@pytest.mark.rows("shuffle", [True, False])
def test_half_precision_is_kept_and_a_layer_takes_it(shuffle):
    x, y = numbered(6)
    for bx, by in Batches(x.astype(np.float16), y.astype(np.float16), 4, shuffle, dtype=None):
        assert bx.dtype == by.dtype == np.float16
        assert minnet.Linear(2, 3)(bx).dtype == np.float32


def test_numbers_of_numpy_become_pythons():
    batches = Batches(*numbered(4), np.int64(3), np.False_)
    assert type(batches.batch_size) is int and type(batches.shuffle) is bool and type(batches.drop_last) is bool


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
        ({"x": [[1, 2], [3], [4], [5]]}, ValueError, r"x to be an array with rows of one shape, got \(2,\) in row 0"),
        ({"x": np.ma.masked_equal(np.zeros((4, 2)), 0)}, TypeError, "x to be an array, got a masked array"),
        ({"y": np.ma.masked_equal(np.zeros(4), 0)}, TypeError, "y to be an array, got a masked array"),
        ({"extra": (np.ma.masked_equal(np.zeros(4), 0),)}, TypeError, r"extra\[0\] to be an array, got a masked array"),
        ({"y": ["a", "b", "c", "d"]}, TypeError, "y: expected real numbers, .*number labels"),
        ({"y": np.array(["a", "b", "c", "d"], object)}, TypeError, "y: expected real numbers, .*number labels"),
        ({"extra": (["a", "b", "c", "d"],)}, TypeError, r"extra\[0\]: expected real numbers"),
        ({"extra": ([[1], [2, 3], [4], [5]],)}, ValueError, r"extra\[0\] to be an array with rows of one shape"),
        ({"drop_last": 1}, TypeError, "drop_last"),
        ({"drop_last": True, "batch_size": 5}, ValueError, "at least batch_size=5 rows with drop_last, got 4$"),
        ({"dtype": "nonsense"}, TypeError, "nonsense"),
    ],
)
def test_wrong_arguments_are_refused_when_batches_are_made(change, error, text):
    with pytest.raises(error, match=text):
        Batches(**({"x": np.zeros((4, 2)), "y": np.arange(4), "batch_size": 2} | change))


@pytest.mark.rows("shuffle", [True, False])
@pytest.mark.rows("chunk_bytes", [1, 2**25])
def test_extra_arrays_keep_in_step_with_x_and_y(monkeypatch, shuffle, chunk_bytes):
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


def test_a_transform_is_given_each_batch_in_its_dtype_and_the_generator():
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


def test_every_epoch_is_transformed_anew_and_the_same_seed_gives_the_same_epochs():
    def noisy(x, rng):
        return x + rng.normal(size=x.shape)

    def epochs(seed):
        batches = Batches(*numbered(10), 4, False, transform=noisy, rng=seed)
        return [np.concatenate([x for x, _ in batches]).tolist() for _ in range(2)]

    first, again, other = epochs(1), epochs(1), epochs(2)
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
