"""Layers side by side."""

import numpy as np
import pytest

from minnet import (
    Adam,
    Concatenate,
    Dropout,
    Embedding,
    Flatten,
    LastStep,
    Layer,
    Linear,
    Parallel,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    accuracy,
    check_layer,
)


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def batch(n=6):
    rng = np.random.default_rng(7)
    return frozen(rng.normal(size=(n, 4))), frozen(rng.integers(0, 3, n), np.int64)


class Double(Layer):
    """A layer of a user's, without parameters."""

    def forward(self, x):
        self.cache = ()
        return 2 * x

    def backward(self, dy):
        return 2 * dy


class NeverBackward(Double):
    def backward(self, dy):
        raise AssertionError("nobody needs this gradient")


def weighted(inputs, outputs, weights):
    layer = Linear(inputs, outputs, bias=False).astype(np.float64)
    layer.load_state_dict({"W": weights})
    return layer


def branches():
    return Concatenate(weighted(2, 2, [[1, 2], [3, 4]]), Double(), weighted(2, 1, [[5], [6]]))


def test_concatenate_puts_the_features_of_its_branches_side_by_side():
    layer = branches()
    assert layer(frozen([[1, -1]])).tolist() == [[-2, -2, 2, -2, -1]]
    # (1, 10) Wᵀ = (21, 43) from the first, 2 · (3, 4) from the second, 7 · (5, 6) from the third.
    assert layer.backward(frozen([[1, 10, 3, 4, 7]])).tolist() == [[21 + 6 + 35, 43 + 8 + 42]]
    assert [p.grad.tolist() for p in layer.parameters()] == [[[1, 10], [-1, -10]], [[7], [-7]]]


def test_concatenate_of_sequences_and_images_works_on_the_last_axis():
    layer, x = Concatenate(Double(), Sequential()), frozen(np.arange(24).reshape(2, 3, 2, 2))
    y = layer(x)
    assert y.shape == (2, 3, 2, 4)
    assert np.array_equal(y[..., :2], 2 * x)
    assert np.array_equal(y[..., 2:], x)
    assert np.array_equal(layer.backward(y), 4 * x + x)


def test_concatenate_takes_one_list_of_branches_too():
    assert list(Concatenate([Double(), ReLU()]).walk(Layer)) == ["", "branches.0", "branches.1"]


def test_concatenate_returns_arrays_that_are_not_those_of_its_branches():
    layer, x = Concatenate(Sequential()), frozen([[1, 2]])
    layer(x)[...] = 7
    assert layer(x).tolist() == [[1, 2]]


def test_branches_may_differ_in_the_last_axis_only():
    with pytest.raises(ValueError, match=r"differ in the last axis only, got \(2, 3, 4\) and \(2, 12\)"):
        Concatenate(ReLU(), Flatten())(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"differ in the last axis only, got \(2, 3, 4\) and \(2, 4\)"):
        Concatenate(ReLU(), LastStep())(np.ones((2, 3, 4)))


@pytest.mark.rows("build", [Concatenate, lambda: Concatenate([])])
def test_concatenate_needs_a_branch(build):
    with pytest.raises(ValueError, match="Concatenate: expected branches"):
        build()


@pytest.mark.rows("given", [np.uint8, np.int64, np.float32, np.float64])
def test_a_branch_that_passes_its_input_on_does_not_change_the_dtype(given):
    layer = Concatenate(Sequential(), Linear(2, 3, rng=0))
    y = layer(frozen([[1, 2], [3, 4]], given))
    assert y.dtype == np.float32
    assert y[:, :2].tolist() == [[1, 2], [3, 4]]
    assert layer.backward(np.ones((2, 5), np.float32)).dtype == np.float32
    assert layer.branches[1].W.grad.tolist() == [[4] * 3, [6] * 3]


def test_a_branch_that_passes_its_input_on_takes_a_list():
    assert Concatenate(Sequential(), weighted(2, 1, [[5], [6]]))([[1, 2]]).tolist() == [[1, 2, 17]]


def test_embeddings_side_by_side_take_ids():
    layer = Concatenate(Embedding(5, 2, rng=0), Sequential(Embedding(5, 3, rng=1), Linear(3, 3, rng=2)))
    ids = frozen([[1, 2, 1], [4, 4, 0]], np.int64)
    assert layer(ids).shape == (2, 3, 5)
    assert layer(ids).dtype == np.float32
    assert layer.backward(np.ones((2, 3, 5), np.float32)) is None
    assert layer.branches[0].W.grad.tolist() == [[1, 1], [2, 2], [1, 1], [0, 0], [2, 2]]
    check_layer(layer, ids)


@pytest.mark.rows("embedding_first", [True, False])
def test_ids_have_no_gradient_however_the_other_branches_see_them(embedding_first):
    parts = [Embedding(5, 2, rng=0), Sequential(Reshape(3, 1), Linear(1, 2, rng=1))]
    layer = Concatenate(*parts if embedding_first else parts[::-1])
    ids = frozen([[1, 2, 1], [4, 4, 0]], np.int64)
    assert layer(ids).shape == (2, 3, 4)
    assert layer.backward(np.ones((2, 3, 4), np.float32)) is None
    assert parts[0].W.grad.tolist() == [[1, 1], [2, 2], [1, 1], [0, 0], [2, 2]]
    assert parts[1][1].W.grad.tolist() == [[12, 12]]


def test_weights_can_be_shared_between_branches():
    layer = Concatenate(Linear(1, 1, bias=False), Linear(1, 1, bias=False)).astype(np.float64)
    layer.branches[1].W = layer.branches[0].W
    assert list(layer.named_parameters()) == ["branches.0.W"]
    layer.load_state_dict({"branches.0.W": [[3]]})
    assert layer(frozen([[2]])).tolist() == [[6, 6]]
    assert layer.backward(frozen([[1, 10]])).tolist() == [[33]]
    assert layer.parameters()[0].grad.tolist() == [[22]]


@pytest.mark.rows("branch", [NeverBackward, lambda: Sequential(NeverBackward())])
def test_branches_without_parameters_do_not_run_backward_where_nobody_needs_it(branch):
    model, (x, y) = Sequential(Concatenate(branch(), Linear(4, 4)), Linear(8, 3), SoftmaxCrossEntropy()), batch()
    model(x, y)
    assert model.backward() is None
    assert all(p.grad.any() for p in model.parameters())
    with pytest.raises(AssertionError, match="nobody needs this gradient"):
        model.backward(input_gradient=True)


@pytest.mark.rows("dy", [np.ones((5, 7)), np.ones((1, 8)), np.ones(8), 1.0, None])
def test_a_dy_of_another_shape_is_refused_by_concatenate_before_a_branch_sees_it(dy):
    layer = Concatenate(Linear(4, 4, rng=0), ReLU())
    layer(np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"^Concatenate\(.*expected dy of shape \(5, 8\)"):
        layer.backward(dy)
    assert not any(p.grad.any() for p in layer.parameters())


# Parallel


def image_and_table(dtype=np.float64):
    image = Sequential(Flatten(), Linear(4, 2, rng=0), Tanh())
    return Sequential(Parallel(image, Linear(3, 2, rng=1)), Linear(4, 3, rng=2), SoftmaxCrossEntropy()).astype(dtype)


def two_inputs(n=5):
    rng = np.random.default_rng(1)
    return (rng.normal(size=(n, 2, 2)), rng.normal(size=(n, 3))), rng.integers(0, 3, n)


def test_parallel_applies_each_branch_to_its_own_part_of_x():
    layer, (x, _) = Parallel(Flatten(), Double()), two_inputs()
    np.testing.assert_array_equal(layer(x), np.hstack([x[0].reshape(5, 4), 2 * x[1]]))
    dx = layer.backward(np.arange(35.0).reshape(5, 7))
    assert type(dx) is tuple and [part.shape for part in dx] == [(5, 2, 2), (5, 3)]
    np.testing.assert_array_equal(dx[1], 2 * np.arange(35.0).reshape(5, 7)[:, 4:])


def test_a_model_of_two_inputs_trains_predicts_and_is_checked():
    model, (x, y) = image_and_table(), two_inputs()
    assert check_layer(model, x, y)
    optimizer = Adam(model.parameters(), lr=0.1)
    for _ in range(60):
        model(x, y)
        model.backward()
        optimizer.step()
    assert model(x, y) < 0.05 and accuracy(y, model(x)) == 1.0


def test_ids_in_a_part_have_no_gradient():
    layer = Parallel(Sequential(Embedding(5, 2, rng=0), LastStep()), Sequential())
    layer((np.array([[1, 2], [3, 4]]), np.ones((2, 3))))
    ids, table = layer.backward(np.ones((2, 5)))
    assert ids is None and table.tolist() == np.ones((2, 3)).tolist()


def test_a_first_parallel_computes_no_gradient_of_the_data():
    model, (x, y) = image_and_table(), two_inputs()
    model(x, y)
    assert model.backward() is None
    model(x, y)
    dx = model.backward(input_gradient=True)
    assert [part.shape for part in dx] == [(5, 2, 2), (5, 3)]


@pytest.mark.rows(
    ("x", "error", "told"),
    [
        (np.ones((2, 3)), TypeError, r"expected a tuple with a part for each branch, got an array of shape \(2, 3\)"),
        ((np.ones((2, 3)),), ValueError, "expected a tuple of 2 parts, got 1"),
        ((np.ones((2, 3)),) * 3, ValueError, "expected a tuple of 2 parts, got 3"),
        ((np.ones((2, 3)), np.ones((3, 3))), ValueError, r"differ in the last axis only, got \(2, 3\) and \(3, 3\)"),
    ],
)
def test_an_x_without_a_part_for_each_branch_is_refused(x, error, told):
    with pytest.raises(error, match=rf"^Parallel\(.*{told}"):
        Parallel(ReLU(), Sequential())(x)


@pytest.mark.rows("kind", [Concatenate, Parallel])
def test_a_step_of_branches_is_a_step_of_each(kind):
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    layer, whole = kind(Linear(3, 2, rng=0), Sequential(Tanh())).astype(np.float64), (x, x) if kind is Parallel else x
    y, state = layer(whole), None
    cache = layer.cache
    for t in range(4):
        y_t, state = layer.step((x[:, t], x[:, t]) if kind is Parallel else x[:, t], state)
        np.testing.assert_allclose(y_t, y[:, t], rtol=1e-12)
    assert layer.cache is cache
    with pytest.raises(ValueError, match=r"expected a state that its step has returned, got one of 1"):
        layer.step(x[:, 0], [None])


@pytest.mark.rows("kind", [Concatenate, Parallel])
def test_a_step_of_branches_is_in_evaluation_mode_and_keeps_the_dtype(kind):
    layer = kind(Dropout(0.9, rng=0), Linear(3, 1, rng=0))
    x = np.ones((2, 3))
    y, _ = layer.step((x, x) if kind is Parallel else x)
    assert y[:, :3].tolist() == x.tolist() and y.dtype == np.float32
    assert Residual(Linear(3, 3, rng=0)).step(x)[0].dtype == np.float32
