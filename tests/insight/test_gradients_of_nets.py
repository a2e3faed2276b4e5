"""Right nets of many kinds, deep ones above all, in which nothing is accused; and faults planted in each of them."""

import numpy as np
import pytest

from minnet import (
    ELU,
    GELU,
    GRU,
    LSTM,
    RNN,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GroupNorm,
    LastStep,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    MultiHeadAttention,
    PReLU,
    ReLU,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    SoftmaxCrossEntropy,
    Tanh,
    load_digits,
)
from minnet.insight.gradients import wrong_gradient


def digits(n=32):
    x, y = load_digits()
    return x[:n], y[:n]


def linear(w, draw):
    return Linear(w, w, rng=draw)


def large(w, draw):
    layer = Linear(w, w, rng=draw)
    layer.W.data *= 20
    return layer


def plain(make):
    return lambda w, draw: make()


def wide(make):
    return lambda w, draw: make(w)


def with_skip(w, draw):
    return Residual(Linear(w, w, rng=draw), BatchNorm(w), ReLU(), Linear(w, w, rng=draw))


def perceptron(w, draw):
    return Residual(LayerNorm(w), Linear(w, 2 * w, rng=draw), GELU(), Linear(2 * w, w, rng=draw))


def attention(w, draw):
    return Residual(LayerNorm(w), MultiHeadAttention(w, 4, rng=draw))


def recurrent(make):
    return lambda w, draw: make(w, w, rng=draw)


def deep(depth, *kinds, width=32, first=(), last=(), features=64):
    """A net of `depth` times the same kinds of layers, with a fault in the middle if there is one."""

    def build(rng, fault=None):
        draw = np.random.default_rng(rng)
        layers = [*first, Linear(features, width, rng=draw)]
        for i in range(depth):
            layers += [fault(width, draw)] if fault and i == depth // 2 else []
            layers += [make(width, draw) for make in kinds]
        return Sequential(*layers, *last, Linear(width, 10, rng=draw), SoftmaxCrossEntropy())

    return build


def of_steps(steps, depth, *kinds):
    return deep(depth, *kinds, width=16, first=[Reshape(steps, 64 // steps)], last=[LastStep()], features=64 // steps)


def convolutional(rng, fault=None):
    draw = np.random.default_rng(rng)
    return Sequential(
        *[Reshape(8, 8, 1), Conv2d(1, 8, 3, padding=1, rng=draw), BatchNorm(8), ReLU()],
        *[fault(8, draw) for _ in range(fault is not None)],
        *[MaxPool2d(2), Conv2d(8, 16, 3, rng=draw), ReLU(), Flatten(), Dropout(0.3, rng=draw)],
        *[Linear(64, 10, rng=draw), SoftmaxCrossEntropy()],
    )


NETS = {
    "GELU, 40 deep": deep(40, linear, plain(GELU)),
    "GELU by tanh, 40 deep": deep(40, linear, plain(lambda: GELU("tanh"))),
    "SiLU, 40 deep": deep(40, linear, plain(SiLU)),
    "ELU, 40 deep": deep(40, linear, plain(ELU)),
    "PReLU, 40 deep": deep(40, linear, plain(PReLU)),
    "ReLU, 36 deep": deep(36, linear, plain(ReLU)),
    "LeakyReLU, 36 deep": deep(36, linear, plain(LeakyReLU)),
    "tanh, 20 deep": deep(20, linear, plain(Tanh)),
    "vanishing": deep(10, linear, plain(Sigmoid)),
    "saturated tanh": deep(8, large, plain(Tanh)),
    "saturated sigmoid": deep(8, large, plain(Sigmoid)),
    "batch norm, 50 deep": deep(50, linear, wide(BatchNorm), plain(ReLU)),
    "layer norm, 40 deep": deep(40, linear, wide(LayerNorm), plain(GELU)),
    "RMS norm, 40 deep": deep(40, linear, wide(RMSNorm), plain(ReLU)),
    "group norm, 40 deep": deep(40, linear, wide(lambda w: GroupNorm(4, w)), plain(SiLU)),
    "residual": deep(12, with_skip),
    "residual perceptrons": deep(12, perceptron),
    "transformer": of_steps(8, 4, attention, perceptron),
    "LSTM, 64 steps": of_steps(64, 2, recurrent(LSTM)),
    "GRU, 64 steps": of_steps(64, 2, recurrent(GRU)),
    "RNN, 64 steps": of_steps(64, 2, recurrent(RNN)),
    "convolutional": convolutional,
}
QUICK = ["GELU, 40 deep", "saturated tanh", "batch norm, 50 deep", "residual", "transformer", "convolutional"]


class Changed(Layer):
    """A Linear whose dx is handed back changed."""

    def __init__(self, w, draw, change):
        self.inner, self.change = Linear(w, w, rng=draw), change

    def forward(self, x):
        return self.inner.forward(x)

    def backward(self, dy):
        return self.change(self.inner.backward(dy))


class Block(Layer):
    """y = x + f(x), in whose backward something is missing."""

    def __init__(self, w, draw, backward):
        self.f, self.add_up = Linear(w, w, rng=draw), backward

    def forward(self, x):
        return x + self.f.forward(x)

    def backward(self, dy):
        return self.add_up(self.f, dy)


class Forgets(Layer):
    """y = x + tanh x, in whose backward a term is missing."""

    def __init__(self, term):
        self.term = term

    def forward(self, x):
        self.cache = t = np.tanh(x)
        return x + t

    def backward(self, dy):
        return dy if self.term == "tanh" else dy * (1 - self.cache**2)


class Weights(Linear):
    """A Linear whose dW is multiplied by a factor."""

    def __init__(self, w, draw, factor):
        super().__init__(w, w, rng=draw)
        self.factor = factor

    def backward(self, dy):
        before = self.W.grad.copy()
        dx = super().backward(dy)
        self.W.grad[...] = before + self.factor * (self.W.grad - before)
        return dx


class Mixed(LayerNorm):
    """A layer norm whose dx has something else added."""

    def backward(self, dy):
        dx = super().backward(dy)
        return dx + 0.3 * dx[..., ::-1]


def changed(change):
    return lambda w, draw: Changed(w, draw, change)


def block(backward):
    return lambda w, draw: Block(w, draw, backward)


def weights(factor):
    return lambda w, draw: Weights(w, draw, factor)


FAULTS = {  # what is planted, and how what is said of it begins; a layer comes after "layer N, "
    "a factor": (changed(lambda dx: 1.1 * dx), "the gradient that", "Changed("),
    "a sign": (changed(np.negative), "the gradient that", "Changed("),
    "no gradient": (changed(lambda dx: 0 * dx), "the gradient that", "Changed("),
    "a term, tanh": (plain(lambda: Forgets("tanh")), "the gradient that", "Forgets("),
    "a term, x": (plain(lambda: Forgets("x")), "the gradient that", "Forgets("),
    "the skip connection": (block(lambda f, dy: f.backward(dy)), "the gradient that", "Block("),
    "a part that is left out": (block(lambda f, dy: dy), "the gradient that", "Block("),
    "a part that is given 0": (block(lambda f, dy: dy + f.backward(0 * dy)), "the gradient that", "Block("),
    "a factor of a part": (block(lambda f, dy: dy + 0.5 * f.backward(dy)), "the gradient that", "Block("),
    "a factor of dW": (weights(1.1), "the gradient of W of", "Weights("),
    "a sign of dW": (weights(-1.0), "the gradient of W of", "Weights("),
    "no dW": (weights(0.0), "W of", "Weights("),
    "a norm": (wide(Mixed), "the gradient that", "Mixed("),
}


def accused(net, rng):
    with np.errstate(all="ignore"):
        return wrong_gradient(NETS[net](rng), *digits())


def missed(net, fault, rng):
    """What is said instead of the planted fault; "" if that is said."""
    make, begin, name = FAULTS[fault]
    with np.errstate(all="ignore"):
        said = wrong_gradient(NETS[net](rng, make), *digits())
    right = said and said.startswith(f"{begin} layer ") and said.partition(", ")[2].startswith(name)
    return "" if right else said or "nothing"


@pytest.mark.rows("net", QUICK)
def test_in_a_right_net_nothing_is_accused(net):
    assert accused(net, 0) is None


@pytest.mark.rows("net", ["saturated tanh", "transformer"])
@pytest.mark.rows("fault", FAULTS)
def test_a_planted_fault_is_found_and_no_other_layer_accused(net, fault):
    assert missed(net, fault, 0) == ""


@pytest.mark.long
@pytest.mark.rows("net", NETS)
@pytest.mark.rows("rng", range(10))
def test_in_many_right_nets_nothing_is_accused(net, rng):
    assert accused(net, rng) is None


@pytest.mark.long
@pytest.mark.rows("net", NETS)
@pytest.mark.rows("fault", FAULTS)
def test_every_fault_is_found_in_every_net(net, fault):
    assert missed(net, fault, 1) == ""
