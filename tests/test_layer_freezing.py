"""What freeze() promises: no gradient, no update, evaluation mode; and that nothing needless is computed."""

import copy
import pickle

import numpy as np
import pytest

from minnet import (
    GRU,
    LSTM,
    RNN,
    SGD,
    BatchNorm,
    Concatenate,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Embedding,
    GroupNorm,
    Layer,
    LayerNorm,
    Linear,
    MultiHeadAttention,
    Parameter,
    PositionalEmbedding,
    PReLU,
    ReLU,
    Residual,
    RMSNorm,
    Sequential,
    SoftmaxCrossEntropy,
    evaluate,
    fit,
)

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


class Scale(Layer):
    """A layer of one's own, which has never heard of freezing."""

    def __init__(self, features):
        self.g = Parameter(np.full(features, 2.0))

    def forward(self, x):
        self.cache = x
        return x * self.g.data

    def backward(self, dy):
        x = self.cache
        self.g.grad += (dy * x).reshape(-1, x.shape[-1]).sum(axis=0)
        return dy * self.g.data


TRAINED = {
    "Linear": (Linear(4, 3, rng=0), normal(5, 4)),
    "Linear without bias": (Linear(4, 3, bias=False, rng=0), normal(5, 4)),
    "PositionalEmbedding": (PositionalEmbedding(5, 4, rng=0), normal(2, 3, 4)),
    "PReLU": (PReLU(4), normal(5, 4)),
    "BatchNorm": (BatchNorm(4), normal(5, 4)),
    "LayerNorm": (LayerNorm(4), normal(5, 4)),
    "RMSNorm": (RMSNorm(4), normal(5, 4)),
    "GroupNorm": (GroupNorm(2, 4), normal(2, 3, 4)),
    "Conv1d": (Conv1d(4, 2, 3, padding=1, rng=0), normal(2, 5, 4)),
    "Conv2d": (Conv2d(4, 2, 3, padding=1, rng=0), normal(2, 5, 5, 4)),
    "Conv2d of one channel": (Conv2d(1, 8, 3, rng=0), normal(2, 6, 6, 1)),
    "Conv2d in groups": (Conv2d(4, 4, 3, groups=2, stride=2, rng=0), normal(2, 6, 6, 4)),
    "ConvTranspose2d": (ConvTranspose2d(4, 2, 3, stride=2, rng=0), normal(2, 3, 3, 4)),
    "RNN": (RNN(4, 3, rng=0), normal(2, 3, 4)),
    "LSTM": (LSTM(4, 3, rng=0), normal(2, 3, 4)),
    "GRU": (GRU(4, 3, rng=0), normal(2, 3, 4)),
    "MultiHeadAttention": (MultiHeadAttention(4, 2, rng=0), normal(2, 3, 4)),
    "Residual": (Residual(Linear(4, 4, rng=0)), normal(5, 4)),
    "Concatenate": (Concatenate(Linear(4, 4, rng=0), Scale(4)), normal(5, 4)),
    "Sequential": (Sequential(Linear(4, 4, rng=0), Sequential(Scale(4))), normal(5, 4)),
    "one's own": (Scale(4), normal(5, 4)),
}
each_layer = pytest.mark.parametrize("name", TRAINED)


def frozen_and_not(name):
    layer, x = TRAINED[name]
    layer = copy.deepcopy(layer).astype(np.float64)
    return layer, copy.deepcopy(layer).freeze(), x


@each_layer
def test_a_frozen_layer_gives_the_same_dx_and_no_gradient(name):
    free, frozen, x = frozen_and_not(name)
    y = free.eval()(x)
    assert np.array_equal(frozen(x), y)
    dy = normal(*y.shape)
    dx = free.backward(dy)
    assert np.allclose(frozen.backward(dy), dx, rtol=1e-12, atol=1e-12)
    assert any(p.grad.any() for p in free.parameters())
    assert not any(p.grad.any() for p in frozen.parameters())


@each_layer
def test_in_the_middle_of_a_model_it_passes_the_gradient_on(name):
    free, frozen, x = frozen_and_not(name)
    below = np.ones(x.shape[-1])
    models = [Sequential(Scale(len(below)), layer).astype(np.float64) for layer in (free.eval(), frozen)]
    for model in models:
        model.backward(np.ones_like(model(x)))
    assert np.allclose(models[0][0].g.grad, models[1][0].g.grad, rtol=1e-12)
    assert not any(p.grad.any() for p in frozen.parameters())


@each_layer
def test_unfreeze_makes_it_what_it_was(name):
    free, frozen, x = frozen_and_not(name)
    again = frozen.unfreeze()
    assert all(layer.training and not layer.frozen for layer in again.walk(Layer).values())
    dy = normal(*free(x).shape)
    again(x)
    assert np.array_equal(again.backward(dy), free.backward(dy))
    for ours, theirs in zip(again.parameters(), free.parameters()):
        assert np.array_equal(ours.grad, theirs.grad) and not ours.frozen


def test_an_embedding_that_is_frozen_gets_no_gradient():
    layer = Embedding(5, 3, rng=0).freeze()
    assert layer.backward(np.ones_like(layer(np.array([[1, 2]])))) is None
    assert not layer.W.grad.any()


def test_freeze_drops_a_gradient_that_was_there():
    layer = Linear(2, 1, rng=0)
    layer(np.ones((1, 2))), layer.backward(np.ones((1, 1)))
    assert not layer.freeze().W.grad.any()
    assert not layer.unfreeze().W.grad.any()


def test_freeze_reaches_all_below_and_stays_through_train_copies_and_pickles():
    model = Sequential(Sequential(Dropout(), BatchNorm(2)), Linear(2, 2))
    model[0].freeze()
    for twin in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        twin.train()
        assert [layer.training for layer in twin.walk(Layer).values()] == [True, False, False, False, True]
        assert [p.frozen for p in twin.parameters()] == [True, True, False, False]


def test_frozen_parameters_are_listed_saved_and_loaded():
    model = Sequential(Linear(2, 2, rng=0), Linear(2, 2, rng=1))
    model[0].freeze()
    assert len(model.parameters()) == 4
    state = model.state_dict()
    other = Sequential(Linear(2, 2, rng=2), Linear(2, 2, rng=3))
    other[0].freeze()
    other.load_state_dict(state)
    assert np.array_equal(other[0].W.data, model[0].W.data)


class Counts(Linear):
    backwards = 0

    def backward(self, dy):
        Counts.backwards += 1
        return super().backward(dy)


@pytest.mark.rows("freeze", [lambda body: body.freeze(), lambda body: [layer.freeze() for layer in body]])
def test_backward_ends_at_the_first_layer_that_is_trained(freeze):
    body, head = Sequential(Counts(4, 4, rng=0), Counts(4, 4, rng=1)), Linear(4, 3, rng=2)
    model = Sequential(*body, head, SoftmaxCrossEntropy())
    x, y = normal(5, 4), np.zeros(5, int)
    Counts.backwards = 0
    model(x, y), model.backward()
    assert Counts.backwards == 2
    freeze(body)
    model(x, y), model.backward()
    assert Counts.backwards == 2
    assert model.backward(input_gradient=True).shape == x.shape and Counts.backwards == 4
    body.unfreeze()
    model(x, y), model.backward()
    assert Counts.backwards == 6 and body[0].W.grad.any()


@pytest.mark.rows("kind", [Sequential, Residual, lambda *layers: Concatenate(Sequential(*layers), Linear(4, 4, rng=3))])
@pytest.mark.rows("step", ["fit", "called"])
def test_a_part_of_a_frozen_body_that_is_unfrozen_again_is_trained(kind, step):
    frozen, unfrozen = Linear(4, 4, rng=0), Linear(4, 4, rng=1)
    body = kind(frozen, unfrozen)
    head = Linear(body(normal(5, 4)).shape[-1], 3, rng=2)
    model = Sequential(body.freeze(), head, SoftmaxCrossEntropy())
    model(normal(5, 4), np.zeros(5, int)), model.backward()
    unfrozen.unfreeze()
    before = frozen.W.data.copy(), unfrozen.W.data.copy()
    if step == "fit":
        fit(model, SGD(model.parameters(), 0.1), [(normal(5, 4), np.zeros(5, int))], 1, progress=False)
        assert np.array_equal(frozen.W.data, before[0]) and not np.array_equal(unfrozen.W.data, before[1])
    else:
        y = body(normal(5, 4))
        body.backward(np.ones_like(y))
        assert unfrozen.W.grad.any() and not frozen.W.grad.any()


def test_freezing_the_head_leaves_the_body_trained():
    model = Sequential(Linear(4, 4, rng=0), ReLU(), Linear(4, 3, rng=1), SoftmaxCrossEntropy())
    model[2].freeze()
    model(normal(5, 4), np.zeros(5, int)), model.backward()
    assert model[0].W.grad.any() and not model[2].W.grad.any()


def test_a_model_that_is_frozen_as_a_whole_runs_backward_without_a_gradient():
    model = Sequential(Linear(4, 3, rng=0), SoftmaxCrossEntropy()).freeze()
    model(normal(5, 4), np.zeros(5, int))
    assert model.backward() is None
    assert not any(p.grad.any() for p in model.parameters())


@pytest.mark.rows("name", ["requires_grad", "trainable"])
def test_what_other_frameworks_freeze_by_names_freeze(name):
    for holder in (Linear(2, 2), Sequential(Linear(2, 2)), Scale(2)):
        with pytest.raises(AttributeError, match=rf"{type(holder).__name__} has no {name}: freeze\(\)"):
            setattr(holder, name, False)
        assert not hasattr(holder, name)


def test_requires_grad_of_a_parameter_names_freeze():
    with pytest.raises(AttributeError, match=r"Parameter has no requires_grad: freeze\(\)"):
        Parameter([1.0]).requires_grad = False


def test_a_frozen_batch_norm_keeps_its_statistics_through_fit():
    body = Sequential(Linear(4, 4, rng=0), BatchNorm(4), ReLU(), Dropout(0.5, rng=0))
    x, y = normal(40, 4).astype(np.float32) + 3, RNG.integers(0, 2, 40)
    first = Sequential(body, Linear(4, 2, rng=1), SoftmaxCrossEntropy())
    fit(first, SGD(first.parameters(), 0.1), [(x, y)], 5, progress=False)
    before, state = evaluate(first, [(x, y)]), body.state_dict()
    second = Sequential(body.freeze(), Linear(4, 2, rng=2), SoftmaxCrossEntropy())
    fit(second, SGD(second[1].parameters(), 0.1), [(x - 9, 1 - y)], 5, progress=False)
    assert evaluate(first, [(x, y)]) == before
    assert all(np.array_equal(array, state[name]) for name, array in body.state_dict().items())
