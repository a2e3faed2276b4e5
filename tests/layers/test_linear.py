import ast
import inspect
import textwrap
import tokenize
from io import StringIO

import numpy as np
import pytest

from minnet import (
    Embedding,
    Linear,
    Parameter,
    PositionalEmbedding,
    Sequential,
    SoftmaxCrossEntropy,
    check_layer,
    seed,
)


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def known(dtype=np.float64):
    layer = Linear(3, 2).astype(dtype)
    layer.load_state_dict({"W": [[0.1, -0.4], [0.2, 0.5], [0.3, -0.6]], "b": [0.01, -0.02]})
    return layer


X, DY = [[1, 2, 3], [-1, 0, 2]], [[1, 2], [-1, 0.5]]


def test_linear_and_its_gradients_have_the_values_that_pytorch_gives():
    layer = known()
    # PyTorch gives these, with the weight transposed.
    assert np.allclose(layer(frozen(X)), [[1.41, -1.22], [0.51, -0.82]], rtol=0, atol=1e-7)
    assert np.allclose(layer.backward(frozen(DY)), [[-0.7, 1.2, -0.9], [-0.3, 0.05, -0.6]], rtol=0, atol=1e-7)
    assert np.allclose(layer.W.grad, [[2, 1.5], [2, 4], [1, 7]], rtol=0, atol=1e-12)
    assert np.allclose(layer.b.grad, [0, 2.5], rtol=0, atol=1e-12)


@pytest.mark.rows("shape", [(3,), (1, 3), (1, 1, 3)])
def test_a_single_row_has_its_bias_added_once_to_every_entry(shape):
    layer = known()
    for _ in range(2):
        y = layer(frozen(np.reshape([1, 2, 3], shape)))
        assert y.shape == (*shape[:-1], 2)
        assert np.allclose(y.reshape(-1), [1.41, -1.22], rtol=0, atol=1e-7)
    assert np.allclose(layer.b.data, [0.01, -0.02], rtol=0, atol=1e-9)


@pytest.mark.rows("shape", [(3,), (1, 3), (2, 5, 3), (2, 1, 4, 3)])
def test_leading_axes_are_only_more_rows(shape):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=shape), rng.normal(size=(*shape[:-1], 2))
    layer, flat = known(), known()
    y, expected = layer(x), flat(x.reshape(-1, 3))
    dx, expected_dx = layer.backward(dy), flat.backward(dy.reshape(-1, 2))
    assert y.shape == (*shape[:-1], 2)
    assert dx.shape == shape
    assert np.allclose(y.reshape(-1, 2), expected, rtol=1e-13, atol=1e-14)
    assert np.allclose(dx.reshape(-1, 3), expected_dx, rtol=1e-13, atol=1e-14)
    assert np.allclose(layer.W.grad, flat.W.grad, rtol=1e-13, atol=1e-14)
    assert np.allclose(layer.b.grad, flat.b.grad, rtol=1e-13, atol=1e-14)


def test_every_gradient_agrees_with_differences():
    rng = np.random.default_rng(1)
    layer = Linear(4, 3, rng=1).astype(np.float64)
    layer.b.data[:] = rng.normal(size=3)
    x, dy, h = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 3)), 1e-6
    layer(x)
    gradients = [layer.backward(dy), layer.W.grad, layer.b.grad]
    for array, gradient in zip([x, layer.W.data, layer.b.data], gradients):
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + h
            above = (layer(x) * dy).sum()
            array[index] = kept - h
            below = (layer(x) * dy).sum()
            array[index] = kept
            assert gradient[index] == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-7)


def test_without_a_bias_there_is_no_b():
    layer = Linear(3, 2, bias=False)
    assert list(layer.named_parameters()) == ["W"]
    assert layer(np.zeros((1, 3))).tolist() == [[0, 0]]
    assert layer.backward(np.ones((1, 2))).shape == (1, 3)


def test_arrays_have_the_documented_names_shapes_and_decay():
    layer = Linear(3, 2)
    assert {name: p.data.shape for name, p in layer.named_parameters().items()} == {"W": (3, 2), "b": (2,)}
    assert [p.decay for p in layer.parameters()] == [True, False]
    assert layer.b.data.tolist() == [0, 0]


def test_weights_start_glorot_uniform_from_the_rng():
    W = Linear(50, 100, rng=0).W.data
    assert 0.199 < abs(W).max() <= 0.2
    assert np.array_equal(W, Linear(50, 100, rng=np.random.default_rng(0)).W.data)
    seed(0)
    assert np.array_equal(W, Linear(50, 100).W.data)
    assert not np.array_equal(W, Linear(50, 100).W.data)


@pytest.mark.rows("inside", [np.float32, np.float64])
@pytest.mark.rows("given", [np.uint8, np.int64, np.float16, np.float32, np.float64, bool])
def test_real_input_is_cast_to_the_dtype_of_the_parameters(inside, given):
    layer = known(inside)
    y = layer(frozen([[1, 0, 1]], given))
    assert y.dtype == inside
    assert np.allclose(y, [[0.41, -1.02]])
    layer.backward(np.ones((1, 2), inside))
    assert layer.W.grad.dtype == layer.b.grad.dtype == inside
    assert layer.W.grad.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_float32_stays_float32():
    layer = Linear(3, 2)
    x = frozen(X, np.float32)
    assert layer(x).dtype == np.float32
    assert layer.backward(frozen(DY, np.float32)).dtype == np.float32
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(np.float32)}


def test_a_list_is_as_good_as_an_array():
    assert np.allclose(known()(X), [[1.41, -1.22], [0.51, -0.82]])


def test_gradients_add_up_and_the_next_step_is_right():
    layer = known()
    layer(frozen(X))
    layer.backward(frozen(DY))
    layer(frozen([[2, 0, 1]]))
    layer.backward(frozen([[1, 10]]))
    # The first pass left [[2, 1.5], [2, 4], [1, 7]] and [0, 2.5]; the second adds the outer product of the last two.
    assert np.allclose(layer.W.grad, [[4, 21.5], [2, 4], [2, 17]])
    assert np.allclose(layer.b.grad, [1, 12.5])


def test_a_non_contiguous_input_gives_the_same():
    x, dy = np.zeros((2, 6)), np.zeros((2, 4))
    x[:, ::2], dy[:, ::2] = X, DY
    layer, plain = known(), known()
    assert np.allclose(layer(x[:, ::2]), plain(frozen(X)))
    assert np.allclose(layer.backward(dy[:, ::2]), plain.backward(frozen(DY)))
    assert np.allclose(layer.W.grad, plain.W.grad)


def test_an_empty_batch_gives_an_empty_output_and_no_gradient():
    layer = Linear(3, 2)
    assert layer(np.zeros((0, 3))).shape == (0, 2)
    assert layer.backward(np.zeros((0, 2))).shape == (0, 3)
    assert not layer.W.grad.any()


def test_dx_is_left_out_where_nobody_will_use_it():
    layer = known()
    layer(frozen(X))
    layer.input_gradient = False
    assert layer.backward(frozen(DY)) is None
    assert np.allclose(layer.W.grad, [[2, 1.5], [2, 4], [1, 7]])


def test_two_layers_can_share_a_weight():
    first, second = Linear(2, 2, bias=False), Linear(2, 2, bias=False)
    second.W = first.W
    model = Sequential(first, second).astype(np.float64)
    model.load_state_dict({"0.W": [[1, 2], [3, 4]]})
    assert model(frozen([[1, 0]])).tolist() == [[7, 10]]
    model.backward(frozen([[1, 0]]))
    # y₀ = x W W with x = (1, 0): W₀₀² + W₀₁ W₁₀ has the slopes 2 W₀₀, W₁₀ and W₀₁.
    assert first.W.grad.tolist() == [[2, 3], [2, 0]]


def test_a_parameter_put_in_place_of_w_is_used():
    layer = Linear(2, 1, bias=False)
    layer.W = Parameter([[2.0], [3.0]])
    assert layer(np.ones((1, 2))).tolist() == [[5]]


@pytest.mark.rows("shape", [(4,), (2, 4), (3, 2), (), (2, 3, 1)])
def test_an_input_that_does_not_end_in_in_features_is_refused_by_name(shape):
    with pytest.raises(ValueError, match=r"Linear\(3, 2\): expected x of shape \(\.\.\., 3\), got"):
        Linear(3, 2)(np.ones(shape))


@pytest.mark.rows("sizes", [(0, 0), (-3, 3), (-1, 4), (4, -1)])
def test_sizes_below_one_are_value_errors(sizes):
    with pytest.raises(ValueError):
        Linear(*sizes)


@pytest.mark.rows("sizes", [(2.5, 3), (3, "4"), (None, 3)])
def test_sizes_that_are_no_ints_are_type_errors(sizes):
    with pytest.raises(TypeError):
        Linear(*sizes)


def test_linear_takes_at_most_twenty_five_lines_of_code():
    source = textwrap.dedent(inspect.getsource(Linear))
    docstring = ast.parse(source).body[0].body[0]
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = {
        line
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type not in layout
        for line in range(token.start[0], token.end[0] + 1)
    }
    lines -= set(range(docstring.lineno, docstring.end_lineno + 1))
    assert len(lines) <= 25


# Embedding


def table(num=4, dtype=np.float64):
    """Row i is (10 i, 10 i + 1)."""
    layer = Embedding(num, 2).astype(dtype)
    layer.load_state_dict({"W": [[10 * i, 10 * i + 1] for i in range(num)]})
    return layer


def test_embedding_looks_rows_up():
    y = table()(frozen([[3, 0, 3], [1, 1, 2]], np.int64))
    assert y.tolist() == [[[30, 31], [0, 1], [30, 31]], [[10, 11], [10, 11], [20, 21]]]


def test_the_gradient_of_a_row_is_summed_over_the_places_where_it_was_used():
    layer = table()
    layer(frozen([[3, 0, 3], [1, 3, 0]], np.int64))
    dy = frozen([[[1, 2], [4, 8], [16, 32]], [[64, 128], [256, 512], [1024, 2048]]])
    assert layer.backward(dy) is None
    assert layer.W.grad.tolist() == [[4 + 1024, 8 + 2048], [64, 128], [0, 0], [1 + 16 + 256, 2 + 32 + 512]]


def test_many_repeated_ids_agree_with_a_loop():
    rng = np.random.default_rng(0)
    layer, ids, dy = Embedding(7, 3).astype(np.float64), rng.integers(0, 7, (20, 11)), rng.normal(size=(20, 11, 3))
    layer(ids)
    layer.backward(dy)
    expected = np.zeros((7, 3))
    for place in np.ndindex(ids.shape):
        expected[ids[place]] += dy[place]
    assert np.allclose(layer.W.grad, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.rows("shape", [(1,), (5,), (1, 1), (3, 2), (2, 1, 3)], ids=str)
@pytest.mark.rows(("num", "features"), [(6, 3), (6, 1)])
def test_embedding_keeps_the_contract_in_any_rank(shape, num, features):
    check_layer(Embedding(num, features, rng=0), np.random.default_rng(1).integers(0, num, shape))


def test_embedding_of_one_id_keeps_the_contract():
    check_layer(Embedding(1, 4), np.zeros((2, 3), int))


@pytest.mark.rows("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_ids_may_be_integers_of_any_size(dtype):
    layer = table()
    assert layer(frozen([2, 0], dtype)).tolist() == [[20, 21], [0, 1]]
    layer.backward(frozen([[1, 2], [3, 4]]))
    assert layer.W.grad.tolist() == [[3, 4], [0, 0], [1, 2], [0, 0]]


def test_more_rows_than_a_small_integer_can_count_are_found():
    layer = table(300)
    assert layer(frozen([255, 0], np.uint8)).tolist() == [[2550, 2551], [0, 1]]
    layer.backward(frozen([[1, 2], [3, 4]]))
    assert layer.W.grad[[0, 255]].tolist() == [[3, 4], [1, 2]]


def test_lists_of_ids_and_single_ids_are_taken():
    layer = table()
    assert layer([[1], [3]]).tolist() == [[[10, 11]], [[30, 31]]]
    assert layer(2).tolist() == [20, 21]
    layer.backward(frozen([5, 6]))
    assert layer.W.grad.tolist() == [[0, 0], [0, 0], [5, 6], [0, 0]]


def test_no_ids_give_no_rows_and_no_gradient():
    layer = table()
    assert layer(np.zeros((0, 3), int)).shape == (0, 3, 2)
    assert layer.backward(np.zeros((0, 3, 2))) is None
    assert not layer.W.grad.any()


def test_ids_that_change_after_the_forward_do_not_change_the_gradient():
    layer, ids = table(), np.array([1, 2])
    layer(ids)
    ids[:] = 3
    layer.backward(frozen([[1, 1], [1, 1]]))
    assert layer.W.grad.tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]


def test_what_embedding_returns_is_a_copy():
    layer = table()
    layer([1, 2])[...] = -1
    assert layer([1, 2]).tolist() == [[10, 11], [20, 21]]


def test_the_gradients_of_embedding_add_up_and_the_second_step_is_right():
    layer = table()
    layer([0, 1]), layer.backward(frozen([[1, 1], [2, 2]]))
    layer([[3, 1, 1]]), layer.backward(frozen([[[4, 4], [8, 8], [16, 16]]]))
    assert layer.W.grad.tolist() == [[1, 1], [26, 26], [0, 0], [4, 4]]


def test_embedding_does_not_mind_how_its_input_lies_in_memory():
    ids, dy = np.arange(6).reshape(2, 3) % 4, np.arange(12.0).reshape(2, 3, 2)
    layer, plain = table(), table()
    assert np.array_equal(layer(ids.T), plain(ids.T.copy()))
    layer.backward(dy.transpose(1, 0, 2)), plain.backward(dy.transpose(1, 0, 2).copy())
    assert np.array_equal(layer.W.grad, plain.W.grad)


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_embedding_computes_in_the_dtype_of_its_parameter(dtype):
    layer = table(dtype=dtype)
    assert layer([1]).dtype == dtype
    layer.backward(frozen([[1, 1]], dtype))
    assert layer.W.grad.dtype == dtype


def test_embedding_has_one_parameter_that_starts_normal_with_a_deviation_of_a_fiftieth():
    layer = Embedding(200, 100, rng=0)
    assert {name: p.data.shape for name, p in layer.named_parameters().items()} == {"W": (200, 100)}
    assert layer.W.decay
    assert layer.W.data.std() == pytest.approx(0.02, rel=0.03)
    assert abs(layer.W.data.mean()) < 0.001
    assert np.array_equal(layer.W.data, Embedding(200, 100, rng=np.random.default_rng(0)).W.data)


@pytest.mark.rows(("ids", "bad"), [([0, 4], 4), ([-1, 2], -1), ([[1], [400]], 400), ([2**40], 2**40)])
def test_ids_out_of_range_are_refused_by_name(ids, bad):
    with pytest.raises(ValueError, match=rf"Embedding\(4, 2\): expected ids from 0 to 3, got {bad}"):
        Embedding(4, 2)(ids)


def test_an_unsigned_id_beyond_the_signed_range_is_refused():
    with pytest.raises(ValueError, match="expected ids from 0 to 3"):
        Embedding(4, 2)(np.array([2**63 + 1], np.uint64))


@pytest.mark.rows("ids", [[0.0, 1.0], [True, False]], ids=repr)
def test_ids_that_are_not_integers_are_refused_by_name(ids):
    with pytest.raises(TypeError, match=r"Embedding\(4, 2\): expected integer ids, got"):
        Embedding(4, 2)(ids)


def test_a_model_that_starts_with_an_embedding_trains_and_gives_no_gradient_of_the_ids():
    model = Sequential(Embedding(5, 4, rng=0), Linear(4, 3, rng=1), SoftmaxCrossEntropy())
    ids, y = frozen([[0, 1, 4], [2, 2, 0]], np.int64), frozen([[0, 1, 2], [1, 1, 0]], np.int64)
    before = model(ids, y)
    assert model.backward() is None
    assert model.backward(input_gradient=True) is None
    for p in model.parameters():
        p.data -= 0.5 * p.grad
    assert model(ids, y) < before
    assert not model[0].W.grad[3].any()


# PositionalEmbedding


def positions(length=3, dtype=np.float64):
    """Row t is (100 (t + 1), −100 (t + 1))."""
    layer = PositionalEmbedding(length, 2).astype(dtype)
    layer.load_state_dict({"W": [[100 * t, -100 * t] for t in range(1, length + 1)]})
    return layer


SEQUENCES = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


def test_each_position_has_its_row_added_and_the_rows_beyond_are_not_used():
    layer = positions()
    assert layer(frozen(SEQUENCES)).tolist() == [[[101, -98], [203, -196]], [[105, -94], [207, -192]]]
    dy = frozen([[[1, 2], [4, 8]], [[16, 32], [64, 128]]])
    assert layer.backward(dy).tolist() == dy.tolist()
    assert layer.W.grad.tolist() == [[17, 34], [68, 136], [0, 0]]


@pytest.mark.rows(("length", "shape"), [(5, (2, 5, 3)), (5, (4, 2, 3)), (1, (3, 1, 3)), (7, (1, 1, 1))], ids=str)
def test_positional_embedding_keeps_the_contract(length, shape):
    check_layer(PositionalEmbedding(length, shape[-1], rng=0), np.random.default_rng(2).normal(size=shape))


def test_positional_embedding_may_see_another_length_in_the_second_step():
    layer = positions()
    layer(frozen(SEQUENCES)), layer.backward(frozen(np.ones((2, 2, 2))))
    layer(frozen(np.zeros((1, 3, 2)))), layer.backward(frozen(np.ones((1, 3, 2))))
    assert layer.W.grad.tolist() == [[3, 3], [3, 3], [1, 1]]
    layer(frozen(np.zeros((1, 1, 2)))), layer.backward(frozen([[[10, 20]]]))
    assert layer.W.grad.tolist() == [[13, 23], [3, 3], [1, 1]]


@pytest.mark.rows("given", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.rows("inside", [np.float32, np.float64])
def test_positional_embedding_computes_in_the_dtype_of_its_parameter(given, inside):
    layer = positions(dtype=inside)
    assert layer(frozen(SEQUENCES, given)).dtype == inside
    assert layer.backward(frozen(SEQUENCES, inside)).dtype == inside
    assert layer.W.grad.dtype == inside


def test_positional_embedding_has_one_parameter_that_starts_normal_with_a_deviation_of_a_fiftieth():
    layer = PositionalEmbedding(200, 100, rng=0)
    assert {name: p.data.shape for name, p in layer.named_parameters().items()} == {"W": (200, 100)}
    assert layer.W.data.std() == pytest.approx(0.02, rel=0.03)
    assert np.array_equal(layer.W.data, PositionalEmbedding(200, 100, rng=0).W.data)


def test_steps_of_positional_embedding_add_the_rows_in_turn_and_keep_the_cache():
    layer, x = positions(), frozen([[[1, 2], [3, 4], [5, 6]]])
    y = layer(x)
    cache, state = layer.cache, None
    for t in range(3):
        y_t, state = layer.step(x[:, t], state)
        assert y_t.tolist() == y[:, t].tolist()
    assert layer.cache is cache
    with pytest.raises(ValueError, match=r"^PositionalEmbedding\(3, 2\): expected at most 3 steps, got one more$"):
        layer.step(x[:, 0], state)


@pytest.mark.rows("shape", [(2,), (1, 1, 2)], ids=str)
def test_a_step_of_another_rank_is_refused_by_name(shape):
    with pytest.raises(ValueError, match=r"^PositionalEmbedding\(3, 2\): expected x_t of shape \(N, 2\), got"):
        positions().step(np.ones(shape))


@pytest.mark.rows("state", [(), 1.0, "1"], ids=repr)
def test_a_state_that_is_no_count_of_steps_is_refused_by_name(state):
    with pytest.raises(TypeError, match=r"^PositionalEmbedding\(3, 2\): expected a state that its step has returned"):
        positions().step(np.ones((1, 2)), state)


@pytest.mark.rows("shape", [(3, 2), (2,), (1, 4, 2), (1, 2, 3, 2), (4, 5, 2)], ids=str)
def test_sequences_of_another_rank_or_too_long_are_refused_by_name(shape):
    with pytest.raises(
        ValueError, match=r"PositionalEmbedding\(3, 2\): expected x of shape \(N, T, 2\) with T up to 3"
    ):
        PositionalEmbedding(3, 2)(np.ones(shape))


@pytest.mark.rows("shape", [(2, 3, 1), (2, 2, 3), ()], ids=str)
def test_sequences_of_other_features_are_refused_by_name(shape):
    with pytest.raises(ValueError, match=r"PositionalEmbedding\(3, 2\): expected x of shape \(\.\.\., 2\)"):
        PositionalEmbedding(3, 2)(np.ones(shape))


@pytest.mark.rows("kind", [Embedding, PositionalEmbedding])
@pytest.mark.rows("sizes", [(0, 3), (3, 0), (-1, 4), (4, -1)], ids=str)
def test_tables_of_impossible_sizes_are_value_errors(kind, sizes):
    with pytest.raises(ValueError):
        kind(*sizes)


@pytest.mark.rows("kind", [Embedding, PositionalEmbedding])
@pytest.mark.rows("sizes", [(2.5, 3), (3, "4"), (None, 3)], ids=str)
def test_tables_of_sizes_that_are_no_ints_are_type_errors(kind, sizes):
    with pytest.raises(TypeError):
        kind(*sizes)


@pytest.mark.parametrize("padding_idx", [2, -3])
def test_the_vector_of_padding_is_zero_and_is_not_trained(padding_idx):
    layer = Embedding(5, 3, padding_idx=padding_idx, rng=0)
    ids = np.array([[2, 1, 2], [4, 2, 1]])
    assert not layer(ids)[ids == 2].any() and layer(ids)[ids != 2].all()
    assert not layer.W.data[2].any()
    layer.backward(np.where(ids[..., None] == 2, np.nan, np.ones(3)))
    assert layer.W.grad.sum(axis=1).tolist() == [0, 6, 0, 0, 3]
    assert np.array_equal(np.delete(layer.W.data, 2, axis=0), np.delete(Embedding(5, 3, rng=0).W.data, 2, axis=0))


@pytest.mark.parametrize(
    ("padding_idx", "error"), [(5, ValueError), (-6, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_a_padding_idx_that_is_no_id_is_refused(padding_idx, error):
    with pytest.raises(error, match="Embedding: expected padding_idx"):
        Embedding(5, 3, padding_idx=padding_idx)


# Embedding with sparse=True


def both_kinds(**options):
    return [Embedding(7, 3, sparse=sparse, rng=0, **options).astype(np.float64) for sparse in (False, True)]


@pytest.mark.rows("options", [{}, {"padding_idx": 2}])
def test_a_sparse_embedding_has_the_same_gradients_as_another(options):
    rng = np.random.default_rng(0)
    for dense, sparse in [both_kinds(**options)]:
        for _ in range(3):
            ids, dy = rng.integers(0, 7, (4, 5)), rng.normal(size=(4, 5, 3))
            for layer in (dense, sparse):
                assert layer(ids).shape == (4, 5, 3) and layer.backward(dy) is None
        np.testing.assert_allclose(sparse.W.grad, dense.W.grad, rtol=1e-12, atol=1e-13)
        sparse.zero_grad()
        assert not sparse.W.grad.any()


@pytest.mark.rows("options", [{}, {"padding_idx": -1}])
def test_a_sparse_embedding_keeps_the_contract(options):
    check_layer(Embedding(5, 3, sparse=True, rng=0, **options), np.array([[1, 4, 1], [0, 0, 3]]))


def test_a_sparse_embedding_says_so_and_is_saved_as_any_other():
    dense, sparse = both_kinds()
    assert repr(sparse) == "Embedding(7, 3, sparse=True, rng=0)"
    sparse.load_state_dict(dense.state_dict())
    assert np.array_equal(sparse.W.data, dense.W.data) and list(sparse.state_dict()) == ["W"]


def test_a_frozen_sparse_embedding_gets_no_gradient():
    layer = Embedding(5, 3, sparse=True).freeze()
    layer(np.array([1, 2]))
    layer.backward(np.ones((2, 3), np.float32))
    assert not layer.W.grad.any()
    layer.unfreeze()
    layer(np.array([1, 2]))
    layer.backward(np.ones((2, 3), np.float32))
    assert layer.W.grad.sum() == 6


def test_a_sparse_weight_that_a_linear_layer_shares_has_the_gradients_of_both():
    for layer, linear in [(each, Linear(7, 3, bias=False).astype(np.float64)) for each in both_kinds()]:
        linear.W = layer.W
        x, dy = np.random.default_rng(1).normal(size=(2, 7)), np.ones((2, 3))
        layer(np.array([1, 1]))
        layer.backward(dy)
        linear(x)
        linear.backward(dy)
        layer.backward(dy)
        expected = np.tile(x.sum(axis=0)[:, None], 3)
        expected[1] += 4
        np.testing.assert_allclose(layer.W.grad, expected, rtol=1e-12)


def test_sparse_is_true_or_false_and_nothing_else():
    with pytest.raises(TypeError, match="Embedding: expected sparse to be True or False"):
        Embedding(5, 3, sparse=1)
