"""What optimizers do with parameters that know their rows, alone and among others."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

from minnet import (
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Batches,
    Embedding,
    Flatten,
    Linear,
    Parameter,
    RMSprop,
    Sequential,
    SoftmaxCrossEntropy,
    diagnose,
    fit,
)
from minnet.optimizers.optimizer import Optimizer
from minnet.optimizers.segments import ENTRIES
from minnet.parameter import SparseParameter

PYTORCH = dict(np.load(Path(__file__).parents[1] / "data" / "sparse.npz"))
NUM, D = 12, 3


class Lion(Optimizer):
    """One of one's own."""

    def __init__(self, parameters, lr, **options):
        super().__init__(parameters, lr, **options)
        self.add_moments("m")

    def update(self, w, g, lr, m):
        w -= lr * np.sign(0.9 * m + 0.1 * g)
        m += 0.01 * (g - m)


class Scaled(Optimizer):
    """One with a rule about each parameter as a whole."""

    per_parameter = True

    def update(self, w, g, lr):
        w -= lr * g / (1 + np.abs(g).max())


KINDS = {
    "sgd": lambda parameters, **options: SGD(parameters, lr=0.1, **options),
    "momentum": lambda parameters, **options: SGD(parameters, lr=0.1, momentum=0.9, **options),
    "nesterov": lambda parameters, **options: SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, **options),
    "rmsprop": lambda parameters, **options: RMSprop(parameters, lr=0.1, momentum=0.5, **options),
    "adagrad": lambda parameters, **options: Adagrad(parameters, lr=0.1, **options),
    "adam": lambda parameters, **options: Adam(parameters, lr=0.1, **options),
    "adamw": lambda parameters, **options: AdamW(parameters, lr=0.1, **options),
    "own": lambda parameters, **options: Lion(parameters, lr=0.1, **options),
}
every_kind = pytest.mark.rows("make", list(KINDS.values()), ids=list(KINDS))
STATELESS = [KINDS["sgd"], KINDS["adagrad"]]


def table(kind=SparseParameter, num=NUM, features=D, seed=0):
    p = kind(np.zeros((num, features)))
    p.data = np.random.default_rng(seed).normal(size=(num, features))
    p.grad = np.zeros((num, features))
    return p


def batch(step, n=5, num=NUM, features=D):
    rng = np.random.default_rng(100 + step)
    return rng.integers(0, num, n), rng.normal(size=(n, features))


def dense_rows(ids, dy, num=NUM):
    g = np.zeros((num, *dy.shape[1:]))
    np.add.at(g, ids, dy)
    return g


def two_alike():
    """A Linear's parameter and a table, in this order, and the same with a sparse table; another vector is last."""
    return [[table(Parameter, 4, 2, seed=1), table(kind), table(Parameter, 5, 1, seed=2)] for kind in STATES]


STATES = (Parameter, SparseParameter)


def train(optimizer, parameters, steps):
    first, p, last = parameters
    for step in steps:
        first.grad += np.cos(first.data + step)
        last.grad += np.sin(last.data + step)
        p.add_rows(*batch(step))
        optimizer.step()


def values(parameters):
    return [p.data.copy() for p in parameters]


# The same numbers as PyTorch


@pytest.mark.rows(
    "kind, make",
    [("SGD", KINDS["sgd"]), ("Adagrad", KINDS["adagrad"]), ("Adam", lambda p: Adam(p, lr=0.1, eps=1e-15))],
)
def test_a_sparse_embedding_is_trained_as_pytorch_trains_it(kind, make):
    layer = Embedding(NUM, D, sparse=True).astype(np.float64)
    layer.load_state_dict({"W": PYTORCH["W"]})
    optimizer = make(layer.parameters())
    for ids, dy, expected in zip(PYTORCH["ids"], PYTORCH["dy"], PYTORCH[kind]):
        layer(ids)
        layer.backward(dy)
        optimizer.step()
        np.testing.assert_allclose(layer.W.data, expected, rtol=0, atol=1e-9)
    if kind == "Adam":
        moments = [optimizer.moments["m"] * (1 - 0.9), optimizer.moments["v"] * (1 - 0.999)]
        for moment, name in zip(moments, "mv"):
            np.testing.assert_allclose(moment.reshape(NUM, D), PYTORCH[f"Adam.{name}"], rtol=0, atol=1e-9)


# The rows alone, and all of them


@pytest.mark.rows("make", STATELESS)
@pytest.mark.rows("clip_norm", [None, 0.5])
def test_plain_sgd_and_adagrad_do_as_if_all_rows_were_updated(make, clip_norm):
    dense, sparse = two_alike()
    for parameters in (dense, sparse):
        train(make(parameters, clip_norm=clip_norm), parameters, range(5))
    for p, q in zip(dense, sparse):
        np.testing.assert_allclose(q.data, p.data, rtol=1e-13, atol=1e-14)


@every_kind
@pytest.mark.rows("options", [{}, {"weight_decay": 0.1}, {"clip_norm": 0.5}, {"weight_decay": 0.1, "clip_norm": 0.5}])
def test_where_every_row_gets_gradient_it_is_trained_as_any_parameter(make, options):
    dense, sparse = two_alike()
    for parameters in (dense, sparse):
        optimizer = make(parameters, **options)
        for step in range(4):
            dy = np.random.default_rng(step).normal(size=(NUM, D))
            for p in (parameters[0], parameters[2]):
                p.grad += np.cos(p.data + step)
            parameters[1].add_rows(np.arange(NUM)[::-1], dy)
            optimizer.step()
    for p, q in zip(dense, sparse):
        np.testing.assert_allclose(q.data, p.data, rtol=1e-12, atol=1e-13)


@every_kind
def test_rows_without_gradient_and_their_moments_stay_as_they_are(make):
    _, parameters = two_alike()
    optimizer, p = make(parameters, weight_decay=0.1), parameters[1]
    train(optimizer, parameters, range(3))
    p.add_rows(np.array([2, 7, 2]), np.ones((3, D)))
    before, moments = p.data.copy(), optimizer.state_dict()
    optimizer.step()
    assert np.flatnonzero((p.data != before).any(axis=1)).tolist() == [2, 7]
    part = slice(parameters[0].data.size, parameters[0].data.size + p.data.size)
    for name, moment in optimizer.moments.items():
        changed = (moment[part] != moments[name][part]).reshape(NUM, D).any(axis=1)
        assert np.flatnonzero(changed).tolist() == [2, 7]


@every_kind
def test_without_any_gradient_nothing_of_it_moves(make):
    p = table()
    optimizer = make([p], weight_decay=0.1)
    before = p.data.copy()
    optimizer.step()
    assert np.array_equal(p.data, before) and optimizer.steps == 1


@every_kind
@pytest.mark.rows("block", [1, 7, 12, 2**18])
def test_blocks_of_any_size_give_the_same(make, block, monkeypatch):
    results = []
    for size in (2**18, block):
        monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", size)
        _, parameters = two_alike()
        train(make(parameters, weight_decay=0.1, clip_norm=1.0), parameters, range(3))
        results.append(values(parameters))
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


@every_kind
def test_more_rows_than_fit_into_a_block_are_all_updated(make):
    num, features = ENTRIES // 32 + 5, 64
    dense, sparse = table(Parameter, num, features), table(SparseParameter, num, features)
    for p in (dense, sparse):
        optimizer = make([p])
        for step in range(2):
            p.add_rows(np.arange(num), np.full((num, features), 1.0 + step))
            optimizer.step()
    np.testing.assert_allclose(sparse.data, dense.data, rtol=1e-12, atol=1e-13)


@pytest.mark.rows("shape", [(6,), (6, 2), (6, 2, 3)])
def test_rows_may_have_any_shape_and_decay_sees_it(shape):
    seen = []

    class Shaped(SGD):
        def decay(self, w, g, lr):
            seen.extend((w_p.shape, g_p.shape) for _, w_p, g_p in self._views)
            super().decay(w, g, lr)

    p = SparseParameter(np.ones(shape))
    optimizer = Shaped([p], lr=0.5, weight_decay=0.5)
    p.add_rows(np.array([4, 1]), np.ones((2, *shape[1:])))
    optimizer.step()
    assert seen == [((2, *shape[1:]), (2, *shape[1:]))]
    assert (p.data[[1, 4]] == 0.25).all() and (p.data[[0, 2, 3, 5]] == 1).all()


def test_a_sparse_parameter_that_does_not_decay_is_left_alone_by_weight_decay():
    p = SparseParameter(np.ones((4, 2)), decay=False)
    optimizer = AdamW([p], lr=0.5, weight_decay=0.5)
    p.add_rows(np.array([1]), np.zeros((1, 2)))
    optimizer.step()
    assert (p.data == 1).all()


def test_the_norm_that_is_clipped_is_over_the_rows_and_the_others():
    p, q = SparseParameter(np.zeros((5, 1))), Parameter([0.0])
    optimizer = SGD([p, q], lr=1.0, clip_norm=1.0)
    p.add_rows(np.array([3, 3]), np.array([[1.0], [2.0]]))
    q.grad += 4.0
    optimizer.step()
    np.testing.assert_allclose(p.data[:, 0], [0, 0, 0, -0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(q.data, [-0.8], rtol=1e-6)


def test_a_gradient_of_rows_that_is_not_finite_cannot_be_clipped_and_nothing_changes():
    p, q = SparseParameter(np.zeros((5, 1))), Parameter([0.0])
    optimizer = SGD([q, p], lr=1.0, clip_norm=1.0)
    q.grad += 4.0
    p.add_rows(np.array([3]), np.array([[np.nan]]))
    with pytest.raises(FloatingPointError, match="can't be clipped"):
        optimizer.step()
    assert optimizer.steps == 0 and not q.data.any() and not p.data.any()


@pytest.mark.rows("value, finite", [(1.0, True), (3e38, True), (np.inf, False), (np.nan, False)])
@pytest.mark.rows("read", [False, True])
def test_whether_a_gradient_of_rows_is_finite_is_told(value, finite, read):
    p, q = SparseParameter(np.zeros((5, 1))), Parameter([0.0])
    optimizer = SGD([q, p], lr=0.1)
    assert optimizer.gradient_is_finite()
    p.add_rows(np.array([3]), np.array([[value]]))
    assert not read or p.grad.any()
    assert optimizer.gradient_is_finite() is finite
    optimizer.zero_grad()
    q.grad += value
    assert optimizer.gradient_is_finite() is finite


@pytest.mark.rows("make", [lambda p: Scaled(p, lr=0.1), lambda p: LBFGS(p, weight_decay=0.1)])
def test_a_rule_about_whole_parameters_and_lbfgs_update_all_rows(make):
    results = []
    for kind in STATES:
        p = table(kind)
        optimizer = make([p])
        for step in range(3):

            def closure(p=p, step=step):
                ids, _ = batch(step)
                p.add_rows(ids, p.data[ids] - 1)
                return float(0.5 * np.square(p.data[ids] - 1).sum())

            if isinstance(optimizer, LBFGS):
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()
            assert not p.grad.any()
        results.append(p.data)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12, atol=1e-13)


# Gradient that comes and goes in other ways


def read(p):
    return p.grad.sum()


def halve_and_double(p):
    p.grad *= 0.5
    p.grad = p.grad * 2


@every_kind
@pytest.mark.rows("look", [read, halve_and_double])
def test_whoever_looks_at_the_gradient_changes_nothing(make, look):
    results = []
    for looks in (False, True):
        _, parameters = two_alike()
        optimizer = make(parameters, weight_decay=0.1)
        for step in range(4):
            if looks and step == 2:
                look(parameters[1])
            train(optimizer, parameters, [step])
            if looks and step == 1:
                parameters[1].add_rows(*batch(9))
                look(parameters[1])
                optimizer.zero_grad()
        results.append(values(parameters))
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


@every_kind
@pytest.mark.rows("look", [lambda p: None, read, halve_and_double])
def test_a_gradient_that_was_looked_at_between_backward_and_step_is_applied_and_cleared(make, look):
    results = []
    for looks in (lambda p: None, look):
        _, parameters = two_alike()
        optimizer, p = make(parameters), parameters[1]
        for step in range(3):
            p.add_rows(*batch(step))
            looks(p)
            p.add_rows(*batch(step + 10))
            optimizer.step()
            assert not p.grad.any()
        results.append(values(parameters))
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.rows("make", STATELESS)
def test_what_is_added_to_the_whole_gradient_is_applied_to_every_row(make):
    dense, sparse = two_alike()
    for parameters in (dense, sparse):
        optimizer, p = make(parameters), parameters[1]
        for step in range(3):
            p.add_rows(*batch(step))
            p.grad += np.sin(p.data)
            p.add_rows(*batch(step + 10))
            optimizer.step()
    np.testing.assert_allclose(sparse[1].data, dense[1].data, rtol=1e-12, atol=1e-13)


@pytest.mark.rows("make", STATELESS)
def test_several_backwards_before_a_step_reach_the_rows_of_all(make):
    dense, sparse = two_alike()
    for parameters in (dense, sparse):
        optimizer, p = make(parameters), parameters[1]
        for step in range(0, 9, 3):
            for i in range(3):
                p.add_rows(*batch(step + i, n=i))
            optimizer.step()
    np.testing.assert_allclose(sparse[1].data, dense[1].data, rtol=1e-12, atol=1e-13)


@pytest.mark.rows(
    "clear", [lambda p, o: o.zero_grad(), lambda p, o: p.zero_grad(), lambda p, o: setattr(p, "grad", None)]
)
@pytest.mark.rows("look", [False, True])
def test_a_gradient_that_was_cleared_is_not_applied(clear, look):
    p = table()
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    before = p.data.copy()
    p.add_rows(*batch(0))
    assert not look or p.grad.any()
    clear(p, optimizer)
    optimizer.step()
    assert np.array_equal(p.data, before) and not p.grad.any()


@every_kind
def test_a_gradient_from_before_the_optimizer_is_dropped_and_told(make):
    p = table()
    p.add_rows(*batch(0))
    optimizer, before = make([p]), p.data.copy()
    with pytest.raises(ValueError, match="backward ran before the optimizer was made"):
        optimizer.step()
    optimizer.zero_grad()
    optimizer.step()
    assert np.array_equal(p.data, before)
    p.add_rows(np.array([1]), np.ones((1, D)))
    optimizer.step()
    assert np.flatnonzero((p.data != before).any(axis=1)).tolist() == [1]


@every_kind
def test_data_that_are_assigned_are_trained_on(make):
    results = []
    for assign in (False, True):
        _, parameters = two_alike()
        optimizer, p = make(parameters), parameters[1]
        train(optimizer, parameters, range(2))
        p.add_rows(*batch(7))
        if assign:
            p.data = p.data * 1.0
        train(optimizer, parameters, range(2, 4))
        results.append(values(parameters))
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


def test_two_optimizers_of_one_sparse_parameter_take_turns():
    dense, sparse = table(Parameter), table()
    for p in (dense, sparse):
        optimizers = [SGD([p], lr=0.1), Adagrad([p], lr=0.1)]
        for step in range(6):
            p.add_rows(*batch(step))
            optimizers[step % 2].step()
    np.testing.assert_allclose(sparse.data, dense.data, rtol=1e-12, atol=1e-13)


# Copies, states and whole trainings


@every_kind
@pytest.mark.rows("again", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
@pytest.mark.rows("pending", [False, True])
def test_a_sparse_parameter_and_its_optimizer_copied_together_train_on(make, again, pending):
    _, parameters = two_alike()
    optimizer = make(parameters, weight_decay=0.1)
    train(optimizer, parameters, range(2))
    if pending:
        parameters[1].add_rows(*batch(8))
    twins, its_optimizer = again((parameters, optimizer))
    before = values(parameters)
    train(its_optimizer, twins, range(2, 4))
    for one, other in zip(values(parameters), before):
        np.testing.assert_array_equal(one, other)
    train(optimizer, parameters, range(2, 4))
    for one, other in zip(values(parameters), values(twins)):
        np.testing.assert_array_equal(one, other)
    assert isinstance(twins[1], SparseParameter)


@every_kind
def test_a_state_of_a_sparse_parameter_resumes_to_the_bit(make):
    _, parameters = two_alike()
    optimizer = make(parameters)
    train(optimizer, parameters, range(3))
    _, others = two_alike()
    for p, q in zip(parameters, others):
        q.data = p.data.copy()
    resumed = make(others)
    resumed.load_state_dict(optimizer.state_dict())
    train(optimizer, parameters, range(3, 6))
    train(resumed, others, range(3, 6))
    for one, other in zip(values(parameters), values(others)):
        np.testing.assert_array_equal(one, other)


def reader(sparse):
    return Sequential(
        Embedding(9, 4, sparse=sparse, padding_idx=0, rng=0), Flatten(), Linear(8, 2, rng=1), SoftmaxCrossEntropy()
    )


def trained(sparse, tmp_path=None, epochs=3, **options):
    rng = np.random.default_rng(3)
    ids, y = rng.integers(0, 9, (20, 2)), rng.integers(0, 2, 20)
    model = reader(sparse)
    optimizer = SGD(model.parameters(), lr=0.5, clip_norm=1.0)
    file = {} if tmp_path is None else {"checkpoint": tmp_path / "run.npz"}
    fit(model, optimizer, Batches(ids, y, 4, rng=5, dtype=None), epochs, progress=False, **file, **options)
    return model.state_dict()


@pytest.mark.rows("options", [{}, {"accumulate": 2}])
def test_fit_trains_a_sparse_embedding_as_a_plain_one(options):
    sparse, plain = trained(True, **options), trained(False, **options)
    for name, array in plain.items():
        np.testing.assert_allclose(sparse[name], array, rtol=1e-5, atol=1e-6)


def test_a_run_with_a_sparse_embedding_resumes_to_the_bit(tmp_path):
    trained(True, tmp_path, epochs=2)
    np.testing.assert_equal(trained(True, tmp_path, epochs=4), trained(True, epochs=4))


def test_an_update_that_raises_leaves_rows_and_decay_for_the_next_step():
    class Broken(SGD):
        fails = True

        def update(self, w, g, lr, *moments):
            if self.fails:
                raise ArithmeticError("no")
            super().update(w, g, lr, *moments)

    p, q = table(), table(Parameter, 4, 2)
    optimizer = Broken([q, p], lr=0.1, weight_decay=0.1)
    p.add_rows(*batch(0))
    with pytest.raises(ArithmeticError):
        optimizer.step()
    optimizer.fails = False
    optimizer.zero_grad()
    q.grad += 1
    before = q.data.copy()
    optimizer.step()
    np.testing.assert_allclose(q.data, before - 0.1 * (1 + 0.1 * before), rtol=1e-12)


@every_kind
@pytest.mark.rows("places", [[0], [2], [1, 3], [0, 1, 4]])
def test_parameters_before_between_and_after_sparse_ones_are_trained_as_ever(make, places):
    results = []
    for kinds in ([Parameter] * 5, [SparseParameter if i in places else Parameter for i in range(5)]):
        parameters = [table(kind, 3, 2, seed=i) for i, kind in enumerate(kinds)]
        optimizer = make(parameters, weight_decay=0.1, clip_norm=1.0)
        for step in range(3):
            for i, p in enumerate(parameters):
                p.add_rows(np.arange(3), np.cos(np.arange(6.0).reshape(3, 2) + i + step))
            if step == 1:
                parameters[3].data = parameters[3].data * 0.5
            optimizer.step()
        results.append(values(parameters))
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_diagnose_finds_nothing_in_a_sparse_embedding_that_it_does_not_find_in_a_plain_one_and_changes_nothing():
    rng = np.random.default_rng(3)
    ids, y = rng.integers(0, 9, (20, 2)), rng.integers(0, 2, 20)
    sparse, plain = reader(True), reader(False)
    sparse[0].W.add_rows(np.array([4]), np.ones((1, 4)))
    found = [str(diagnose(model, ids, y)).replace(", sparse=True", "") for model in (sparse, plain)]
    assert found[0].splitlines()[-1] == found[1].splitlines()[-1]
    rows, sums = sparse[0].W.by_row()
    assert rows.tolist() == [4] and sums.tolist() == [[1, 1, 1, 1]]
