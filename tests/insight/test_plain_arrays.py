"""Which plain arrays are mistakes, and which are constants."""

import copy
import random

import numpy as np
import pytest

from minnet import Buffer, Dropout, Layer, LayerCheckError, Linear, Parameter, Sequential, check_layer, generator
from minnet.insight.plain_arrays import kept_arrays, plain_arrays, untrained_arrays

X = np.random.default_rng(0).normal(size=(5, 4))
ADVICE = "neither trained nor saved; make it a Parameter, or a Buffer"


def drawn(*shape):
    return np.random.randn(*shape)  # noqa: NPY002  as most write it


def run(layer):
    y = layer(X)
    layer.backward(np.random.default_rng(1).normal(size=y.shape))
    return y


def forward(layer):
    return layer(X)


class Dense(Layer):
    """What most write first."""

    def __init__(self, inputs, outputs):
        self.W, self.b = drawn(inputs, outputs), np.zeros(outputs)
        self.dW, self.db = np.zeros((inputs, outputs)), np.zeros(outputs)

    def forward(self, x):
        self.cache = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.cache.T @ dy, dy.sum(axis=0)
        return dy @ self.W.T


class Named(Layer):
    """A weight of zeros, which nobody draws, and a gradient of that name, in place of None at first."""

    def __init__(self, weight, gradient, zeros=False):
        self.weight, self.gradient = weight, gradient
        vars(self).update({weight: np.zeros(4), gradient: np.zeros(4) if zeros else None})

    def forward(self, x):
        self.cache = x
        return x + getattr(self, self.weight)

    def backward(self, dy):
        setattr(self, self.gradient, dy.sum(axis=0))
        return dy.copy()


class InDicts(Dense):
    def __init__(self):
        self.params = {"W": np.zeros((4, 3)), "b": [np.zeros(3)]}
        self.grads = {"W": None, "b": [None]}

    def forward(self, x):
        self.cache = x
        return x @ self.params["W"] + self.params["b"][0]

    def backward(self, dy):
        self.grads = {"W": self.cache.T @ dy, "b": [dy.sum(axis=0)]}
        return dy @ self.params["W"].T


class InAList(Layer):
    """Drawn at random, with no gradient anywhere."""

    def __init__(self, rng=None):
        self.weights = [generator(rng).normal(size=4), (generator(rng).normal(size=4),)]

    def forward(self, x):
        return x * self.weights[0] * self.weights[1][0]

    def backward(self, dy):
        return dy * self.weights[0] * self.weights[1][0]


class UpdatesItself(Layer):
    """A perceptron of the old kind."""

    def __init__(self):
        self.w = np.zeros(4)

    def forward(self, x):
        self.cache = x
        return x + self.w

    def backward(self, dy):
        self.w = self.w - 0.1 * dy.sum(axis=0)
        return dy.copy()


class FromPythonsGenerator(InAList):
    def __init__(self):
        self.weights = [np.array([random.random() for _ in range(4)]), (np.ones(4),)]


@pytest.mark.rows(
    "layer, names",
    [
        (Dense(4, 3), ["W", "b"]),
        (InDicts(), ["params.W", "params.b.0"]),
        (InAList(), ["weights.0", "weights.1.0"]),
        (InAList(rng=3), ["weights.0", "weights.1.0"]),
        (InAList(rng=np.random.default_rng(0)), ["weights.0", "weights.1.0"]),
        (FromPythonsGenerator(), ["weights.0"]),
        (UpdatesItself(), ["w"]),
        (Named("b", "db"), ["b"]),
        (Named("b", "b_grad"), ["b"]),
        (Named("bias", "grad_bias", zeros=True), ["bias"]),
        (Named("b", "dL_db"), ["b"]),
        (Named("b", "g", zeros=True), ["b"]),
    ],
)
def test_a_weight_that_no_optimizer_will_see_is_named(layer, names):
    assert untrained_arrays(layer, run) == [f"{layer!r}: {name}: {ADVICE}" for name in names]
    model = Sequential(Linear(4, 4, rng=0), copy.deepcopy(layer))
    assert untrained_arrays(model, run) == [f"layer 1, {layer!r}: {name}: {ADVICE}" for name in names]
    with pytest.raises(LayerCheckError) as caught:
        check_layer(layer, X)
    assert all(f"{name}: {ADVICE}" in str(caught.value) for name in names)


@pytest.mark.rows("layer", [Dense(4, 3), Named("b", "db"), Named("b", "grad_b", zeros=True), InDicts(), InAList()])
def test_a_forward_alone_shows_it_too(layer):
    assert untrained_arrays(layer, forward)


class Constant(Layer):
    """x times an array that it was given, and arrays beside it."""

    def __init__(self, values, **beside):
        self.values = np.array(values)
        vars(self).update(beside)

    def forward(self, x):
        self.cache = x
        return x * self.values

    def backward(self, dy):
        return dy * self.values


class KeepsItsGradients(Constant):
    """dy and dx are of the shape of a mask that is as large as x."""

    def backward(self, dy):
        self.dy, self.dx = dy, dy * self.values
        return self.dx


class Positions(Layer):
    """A fixed table, and the mean of the data."""

    def __init__(self, data):
        self.table = np.sin(np.arange(4.0))
        self.mean = data.mean(axis=0)

    def forward(self, x):
        return x - self.mean + self.table

    def backward(self, dy):
        return dy.copy()


class Grid(Constant):
    """t and dt, of one shape, neither of which is a gradient."""

    def __init__(self):
        self.values = np.linspace(0, 1, 4) ** 2
        self.dvalues = np.gradient(self.values)


class Mask(Layer):
    """Dropout as most write it first; the mask is the last pass's."""

    def __init__(self):
        self.rng, self.mask = generator(0), np.ones((5, 4))

    def forward(self, x):
        self.mask = (self.rng.random(x.shape) > 0.5) * 1.0
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


class Unused(Constant):
    """Drawn at random, but y does not depend on it."""

    def __init__(self):
        self.values, self.history = np.ones(4), drawn(4)


class Noisy(Layer):
    """Nothing can be said of a y that is another each time."""

    def __init__(self):
        self.values = np.ones(4)

    def forward(self, x):
        return x * self.values + NOISE.normal(size=x.shape)

    def backward(self, dy):
        return dy * self.values


NOISE = np.random.default_rng(0)


@pytest.mark.rows(
    "layer",
    [
        Constant([1.0, 2.0, 3.0, 4.0]),
        Constant(drawn(4)),
        Constant(np.ones(4), grad=None),
        Constant(np.linspace(0, 1, 4), dvalues=0.25),
        KeepsItsGradients(np.ones((5, 4))),
        Positions(X),
        Grid(),
        Mask(),
        Unused(),
        Noisy(),
        Linear(4, 3),
        Sequential(Linear(4, 4), Dropout(0.5), Positions(X)),
    ],
)
def test_a_constant_is_not_accused(layer):
    assert untrained_arrays(layer, run) == []


def test_neither_the_model_nor_any_generator_is_changed():
    model = Sequential(Dense(4, 4), InAList(), Dropout(0.5))
    values = [array.copy() for layer in model for array in plain_arrays(layer).values()]
    legacy = np.random.get_state()[1].tolist()  # noqa: NPY002
    package, python = copy.deepcopy(generator().bit_generator.state), random.getstate()
    assert len(untrained_arrays(model, run)) == 4
    assert generator().bit_generator.state == package and random.getstate() == python
    assert np.random.get_state()[1].tolist() == legacy  # noqa: NPY002
    after = [array for layer in model for array in plain_arrays(layer).values()]
    assert all(np.array_equal(a, b) for a, b in zip(values, after, strict=True))
    assert not any("backward" in vars(layer) for layer in model)


def test_a_weight_whose_move_makes_forward_raise_is_named():
    class Picky(InAList):
        def forward(self, x):
            if self.weights[0].sum() > LIMIT:
                raise ValueError("too large")
            return x.copy()

        def backward(self, dy):
            return dy.copy()

    layer = Picky(rng=0)
    LIMIT = layer.weights[0].sum()
    assert untrained_arrays(layer, run) == [f"{layer!r}: weights.0: {ADVICE}"]


def test_what_the_run_raises_is_raised():
    with pytest.raises(ValueError, match="mismatch"):
        untrained_arrays(Dense(3, 2), run)


def test_arrays_are_found_in_lists_and_dicts_and_not_in_layers_inside():
    layer = Constant(np.ones(4), inner=Linear(4, 3), g=Parameter(1.0), m=Buffer(1.0), deep=[{"a": (np.ones(2), 3)}])
    layer.cache = np.ones(9)
    assert list(plain_arrays(layer)) == [("values",), ("deep", 0, "a", 0)]


class KeepsX(Constant):
    def forward(self, x):
        self.x = x
        return super().forward(x)


class KeepsMore(Constant):
    def forward(self, x):
        self.last, self.rows, self.table = [x > 0, {"x": x}], len(x), np.arange(3)
        return super().forward(x)


def test_arrays_of_a_pass_that_stay_after_clear_cache_are_noted():
    report = check_layer(Sequential(Linear(4, 4, rng=0), KeepsX(np.ones(4, np.float32))), X)
    (note,) = report.notes
    assert note.startswith("1.x: an array of the last pass in an attribute of its own") and "self.cache" in note
    assert str(report).endswith(f"\n- {note}")
    names = kept_arrays(KeepsMore(np.ones(4)), lambda layer, others: layer(-X if others else X))
    assert names == ["last.0", "last.1.x"]


def test_a_mask_that_is_drawn_and_stays_is_noted_too():
    class Drops(Mask):
        def forward(self, x):
            self.mask = ((self.rng.random(x.shape) > 0.5) if self.training else np.ones(x.shape)).astype(x.dtype)
            return x * self.mask

    assert [note.split(":")[0] for note in check_layer(Drops(), X).notes] == ["mask"]


@pytest.mark.rows("layer", [Linear(4, 3), Sequential(Linear(4, 3), Dropout()), Constant(np.ones(4, np.float32))])
def test_a_layer_that_keeps_what_it_needs_in_its_cache_has_no_notes(layer):
    assert check_layer(layer, X).notes == []
