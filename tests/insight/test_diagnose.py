import copy
import math

import numpy as np
import pytest

from minnet import (
    BatchNorm,
    BinaryCrossEntropy,
    Buffer,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    LogSoftmax,
    Loss,
    MaxPool2d,
    MeanSquaredError,
    MulticlassHinge,
    Parameter,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    generator,
    load_digits,
    seed,
)
from minnet.insight.diagnose import diagnose


class Sigmoid(Layer):
    def forward(self, x):
        self.cache = y = 1 / (1 + np.exp(-x))
        return y

    def backward(self, dy):
        y = self.cache
        return dy * y * (1 - y)


class Times(Layer):
    """y = c x, without a parameter; its backward takes another c."""

    def __init__(self, forward=1.0, backward=1.0):
        self.c, self.of_backward = forward, backward

    def forward(self, x):
        return self.c * x

    def backward(self, dy):
        return self.of_backward * dy


class Root(Layer):
    """y = √x, whose slope at 0 is infinite."""

    def forward(self, x):
        self.cache = y = np.sqrt(x)
        return y

    def backward(self, dy):
        return dy / (2 * self.cache)


class Dropout(Layer):
    def __init__(self, rng=None):
        self.rng = generator(rng)

    def forward(self, x):
        self.cache = mask = (self.rng.random(x.shape) < 0.5) if self.training else np.ones(x.shape, bool)
        return x * mask

    def backward(self, dy):
        return dy * self.cache


class Forgetful(Linear):
    """A Linear that adds nothing to W.grad."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.W.grad.fill(0)
        return dx


class Own(Layer):
    """A model of a user's own; without a loss layer, if asked."""

    def __init__(self, inline=False, rng=0):
        self.hidden, self.relu, self.out = Linear(64, 16, rng=rng), ReLU(), Linear(16, 10, rng=rng + 1)
        if not inline:
            self.loss = SoftmaxCrossEntropy()
        self.inline = inline

    def forward(self, x, y=None):
        scores = self.out.forward(self.relu.forward(self.hidden.forward(x)))
        if not self.inline:
            return self.loss.forward(scores, y)
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        self.cache = p, y
        return float(-np.log(p[np.arange(len(p)), y]).mean())

    def backward(self, dloss=1.0):
        if self.inline:
            p, y = self.cache
            dscores = dloss * (p - np.eye(p.shape[1], dtype=p.dtype)[y]) / len(p)
        else:
            dscores = self.loss.backward(dloss)
        return self.hidden.backward(self.relu.backward(self.out.backward(dscores)))


class Shift(Layer):
    """y = x + b, with a model's parameter beside layers: a container with a parameter of its own."""

    def __init__(self, *layers):
        self.b = Parameter(np.zeros(64), decay=False)
        self.inner = Sequential(*layers)

    def forward(self, x, y=None):
        return self.inner.forward(x + self.b.data, y)

    def backward(self, dloss=1.0):
        dx = self.inner.backward(dloss, input_gradient=True)
        self.b.grad += dx.sum(axis=0)
        return dx


def digits(n=64):
    x, y = load_digits()
    return x[:n], y[:n]


def network(*between, rng=0):
    return Sequential(Linear(64, 32, rng=rng), ReLU(), *between, Linear(32, 10, rng=rng + 1), SoftmaxCrossEntropy())


def with_weights(model, name, change):
    p = model.named_parameters()[name]
    p.data = change(p.data).astype(np.float32)
    return model


def sigmoids(depth):
    layers = [layer for i in range(depth) for layer in (Linear(64, 64, rng=i), Sigmoid())]
    return Sequential(*layers, Linear(64, 10, rng=depth), SoftmaxCrossEntropy())


def findings(model, x=None, y=None, **options):
    given = digits()
    return diagnose(model, given[0] if x is None else x, given[1] if y is None else y, **options).findings


HEALTHY = {
    "a linear classifier": lambda: Sequential(Linear(64, 10, rng=0), SoftmaxCrossEntropy()),
    "one whose weights start at 0": lambda: with_weights(
        Sequential(Linear(64, 10, rng=0), SoftmaxCrossEntropy()), "0.W", np.zeros_like
    ),
    "a network": network,
    "a network with dropout": lambda: network(Dropout(3)),
    "a nested network": lambda: Sequential(
        Sequential(Flatten(), Linear(64, 32, rng=0)), Sequential(ReLU(), Linear(32, 10, rng=1)), SoftmaxCrossEntropy()
    ),
    "a float64 network": lambda: network().astype(np.float64),
    "a support vector machine": lambda: Sequential(Linear(64, 10, rng=0), MulticlassHinge()),
    "a model of a user's own": Own,
    "one that is its own loss": lambda: Own(inline=True),
    "one with a parameter beside layers": lambda: Shift(network()),
    "two sigmoids": lambda: sigmoids(2),
}


@pytest.mark.rows("make", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_model_has_no_findings(make):
    report = diagnose(make(), *digits())
    assert report.findings == [] and report.nonfinite is None
    assert str(report).endswith("\nNo findings.")
    before, after = report.overfit
    assert after < before / 2


@pytest.mark.long
@pytest.mark.rows("rng", range(10))
@pytest.mark.rows("make", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_model_has_no_findings_with_its_weights_in_another_order(make, rng):
    model, draw = make(), np.random.default_rng(rng)
    for p in model.parameters():
        p.data[...] = draw.permuted(p.data)
    report = diagnose(model, *digits())
    assert report.findings == [] and report.nonfinite is None
    before, after = report.overfit
    assert after < before / 2


def test_a_healthy_regression_has_no_findings():
    x, _ = digits()
    model = Sequential(Linear(64, 16, rng=0), ReLU(), Linear(16, 1, rng=1), MeanSquaredError())
    report = diagnose(model, x, 3 * x[:, 20:21] - 1)
    assert report.findings == [] and report.chance is None


def test_a_trained_model_has_no_findings():
    model, (x, y) = network(), digits()
    for _ in range(1000):
        model(x, y)
        model.backward()
        for p in model.parameters():
            p.data -= 0.5 * p.grad
            p.grad.fill(0)
    assert model(x, y) < 0.02
    assert findings(model) == []
    assert findings(model, lr=1e-7) == [], "that the steps are small is no fault any more"


def test_a_regression_at_its_optimum_has_no_findings():
    x = np.linspace(-1, 1, 40)[:, None]
    y = 2 * x + 0.01 * np.random.default_rng(0).normal(size=x.shape)
    model = Sequential(Linear(1, 1, bias=False, rng=0), MeanSquaredError()).astype(np.float64)
    model[0].W.data[:] = (x * y).sum() / (x * x).sum()
    report = diagnose(model, x, y)
    before, after = report.overfit
    assert report.findings == [] and after > before / 2


def test_a_bias_that_is_small_beside_its_gradient_is_no_fault():
    model = network()
    model[2].b.data += 1e-6
    report = diagnose(model, *digits())
    assert report.findings == [] and report.layers[2].updates["b"] > 1


def test_the_initial_loss_is_compared_with_ln_c():
    report = diagnose(network(), *digits())
    name, chance = report.chance
    assert name == "ln 10" and chance == pytest.approx(2.302585093, abs=1e-9)
    assert report.loss == network()(*digits())
    assert f"the loss is {report.loss:.4g}, ln 10 would be 2.303" in str(report)


def targets(kind):
    _, y = digits()
    yes = (y[:, None] > 4).astype(np.float32)
    return {"labels": y, "soft": np.eye(10)[y], "yes or no": yes, "more": np.hstack([yes, 1 - yes, yes])}[kind]


CHANCES = [  # model, target, name, loss of a guess
    (network(), "soft", "ln 10", math.log(10)),
    (Sequential(Linear(64, 12, rng=0), SoftmaxCrossEntropy()), "labels", "ln 12", math.log(12)),
    (Sequential(Linear(64, 10, rng=0), SoftmaxCrossEntropy(np.arange(1, 11))), "labels", "ln 10", math.log(10)),
    (Sequential(Linear(64, 1, rng=0), BinaryCrossEntropy()), "yes or no", "ln 2", math.log(2)),
    (Sequential(Linear(64, 3, rng=0), BinaryCrossEntropy()), "more", "ln 2", math.log(2)),
    (Sequential(Linear(64, 10, rng=0), MulticlassHinge(0.5)), "labels", "that of equal scores", 4.5),
    (Own(inline=True), "labels", "ln 10", math.log(10)),
]


@pytest.mark.rows("model, kind, name, expected", CHANCES)
def test_the_loss_of_a_guess_is_that_of_the_task(model, kind, name, expected):
    chance = diagnose(model, digits()[0], targets(kind)).chance
    assert chance[0] == name and chance[1] == pytest.approx(expected, rel=1e-6)


def test_integers_are_no_classes_to_a_loss_that_does_not_classify():
    x, y = digits()
    report = diagnose(Sequential(Linear(64, 1, rng=0), MeanSquaredError()), x, y[:, None])
    assert report.chance is None


@pytest.mark.rows("change", [lambda y: y - 1, lambda y: y.astype(np.float64)])
def test_without_a_loss_layer_only_labels_tell_the_classes(change):
    class Sum(Own):
        def forward(self, x, y=None):
            super().forward(x, abs(y.astype(int)))
            return 1.0

    x, y = digits()
    assert diagnose(Sum(inline=True), x, change(y)).chance is None


@pytest.mark.rows("layer, name", [(0, "layer 0, Linear(64, 32, rng=0)"), (2, "layer 2, Linear(32, 10, rng=1)")])
def test_weights_that_are_a_hundred_times_too_large_are_found_in_their_layer(layer, name):
    size, initial, *_ = findings(with_weights(network(), f"{layer}.W", lambda W: 100 * W))
    assert size.startswith(f"{name} makes values of size ") and "scale its initial weights" in size
    assert initial.startswith("the initial loss is 7") and initial.endswith(f"; see {name} above")
    assert "ln 10 would be 2.3: the first scores are too large" in initial


def test_scores_that_are_somewhat_too_large_are_laid_to_the_last_layer():
    (only,) = findings(with_weights(network(), "2.W", lambda W: 5 * W))
    assert only == (
        "the initial loss is 4.45, ln 10 would be 2.3: the first scores are too large; "
        "scale down the initial weights of layer 2, Linear(32, 10, rng=1)"
    )


def test_a_layer_without_parameters_that_enlarges_is_found():
    found = findings(network(Times(1000.0, 1000.0)))
    assert found[0].startswith("layer 2, Times(1000.0, 1000.0) makes values of size ")
    assert found[0].endswith("; look at its forward")


def test_inputs_that_are_too_large_are_found():
    found = findings(network(), x=255 * digits()[0])
    assert found[0].startswith("the size of x is 12") and "standardize" in found[0]
    assert found[1].endswith("; see x above")


@pytest.mark.rows("share", [0.75, 1.0])
def test_dead_units_are_found(share):
    model = network()
    model[0].b.data[: int(32 * share)] = -9
    found = findings(model)
    assert found[0].startswith(f"layer 1, ReLU(): {7 if share < 1 else 10}") and "% of its units are dead" in found[0]
    assert not any("vanishes" in finding for finding in found), "that is said already"
    if share == 1:
        assert found[1].startswith("the model can't learn 32 samples by heart, 300 steps took their loss from 2.3")
        assert found[1].endswith("its gradients fit the loss, so see above")


def convnet(*between):
    return Sequential(
        Conv2d(1, 2, 3, rng=0), ReLU(), *between, MaxPool2d(2), Flatten(), Linear(18, 10, rng=1), SoftmaxCrossEntropy()
    )


@pytest.mark.rows(
    ("model", "x", "values"),
    [
        (network(), np.zeros((40, 64)), ", all 0"),
        (network(), np.tile(np.arange(64) / 64, (40, 1)), ""),
        (convnet(), np.zeros((40, 8, 8, 1)), ", all 0"),
    ],
)
def test_samples_that_are_all_alike_are_named_first_and_no_layer_is_accused(model, x, values):
    first, by_heart = findings(model, x=x, y=digits(40)[1])
    assert first == (
        f"all 40 samples of x are the same{values}: nothing tells them apart, so one answer for all is what can be "
        "learned; look at how x is loaded and scaled"
    )
    assert by_heart.startswith("the model can't learn 32 samples by heart")
    assert by_heart.endswith("its gradients fit the loss, so see above")


def test_samples_that_are_all_alike_hide_no_wrong_gradient():
    first, by_heart = findings(network(Times(1.0, -1.0)), x=np.ones((40, 64)), y=digits(40)[1])
    assert first.startswith("all 40 samples") and "layer 2, Times(1.0, -1.0) hands back" in by_heart


def test_a_single_sample_is_like_no_other():
    x, y = digits(1)
    assert not any("samples of x" in finding for finding in findings(network(), x=x, y=y))


def test_no_right_layer_is_accused_where_samples_contradict_each_other():
    # Many a window of what the ReLU gives is all 0, so that its maximum is tied.
    x, y = digits(10)
    found = findings(convnet(), x=np.repeat(x[:2], 5, axis=0).reshape(10, 8, 8, 1), y=y)
    assert "its gradients fit the loss" in found[-1]


def test_weights_of_0_before_a_relu_are_found_and_no_relu_is_advised():
    found = findings(with_weights(network(), "0.W", np.zeros_like))
    assert found[0].startswith("the gradient vanishes on its way back")
    assert found[0].endswith(
        "layer 1, ReLU(), which passes 0 of it; it is given nothing but 0: start from random weights"
    )


def test_who_uses_relu_is_not_advised_to():
    deep = [layer for i in range(8) for layer in (Linear(64, 64, rng=i), ReLU())]
    for linear in deep[::2]:
        linear.W.data *= 0.1
    found = findings(Sequential(*deep, Linear(64, 10, rng=9), SoftmaxCrossEntropy()))
    assert "the gradient vanishes" in found[0] and "; use he_normal weights, normalize" in found[0]


def test_a_gradient_that_vanishes_is_found_with_the_layer_that_loses_most():
    found = findings(sigmoids(8))
    assert found[0].startswith("the gradient vanishes on its way back: its norm is 0.1")
    assert "at layer 16, Linear(64, 10, rng=8) and " in found[0] and " at layer 0, Linear(64, 64, rng=0); " in found[0]
    assert "Sigmoid(), which passes 0.2" in found[0] and "ReLU" in found[0]


def test_a_single_layer_that_passes_no_gradient_is_found():
    found = findings(network(Times(1.0, 0.0)))
    assert "most is lost in layer 2, Times(1.0, 0.0), which passes 0 of it" in found[0]


def test_a_gradient_that_explodes_is_found_with_the_layer_that_adds_most():
    found = findings(network(Times(1.0, 1e5)))
    assert found[0].startswith("the gradient explodes on its way back: its norm is 0.1")
    assert "most is added in layer 2, Times(1.0, 100000.0), which passes 1e+05 times as much" in found[0]


@pytest.mark.rows("lr, size", [(100.0, "10"), (1e-9, "only 1e-10")])
def test_a_learning_rate_that_is_far_off_is_found_and_a_better_one_said(lr, size):
    (only,) = findings(network(), lr=lr)
    assert only == (
        f"a step with lr = {lr:g} changes W of layer 0, Linear(64, 32, rng=0) by {size} of its size, the most of all; "
        "try a learning rate of about 1e-01"
    )
    assert findings(network(), lr=1e-1) == []


def test_a_learning_rate_of_0_is_too_small():
    assert len(findings(network(), lr=0.0)) == 1


def test_a_parameter_whose_gradient_is_forgotten_is_found():
    model = Sequential(Linear(64, 32, rng=0), ReLU(), Forgetful(32, 10, rng=1), SoftmaxCrossEntropy())
    assert findings(model) == [
        "W of layer 2, Forgetful(32, 10, rng=1) gets no gradient, though the layer does; see its backward"
    ]


@pytest.mark.rows("bad", [np.nan, np.inf])
def test_a_value_in_x_that_is_not_finite_is_found(bad):
    x, y = digits()
    x[3, 5] = x[4, 0] = bad
    report = diagnose(network(), x, y)
    assert report.nonfinite == "x" and report.overfit is None
    assert report.findings == [
        "x holds 2 of 4096 values that are not finite, the first at (3, 5); clean the data, or leave such samples out"
    ]


def test_a_value_in_y_that_is_not_finite_is_found():
    x, _ = digits()
    y = np.ones((64, 1))
    y[7] = np.nan
    report = diagnose(Sequential(Linear(64, 1, rng=0), MeanSquaredError()), x, y)
    assert report.nonfinite == "y" and "first at (7, 0)" in report.findings[0]


def planted(W):
    W = W.copy()
    W[4, 1] = np.nan
    return W


@pytest.mark.rows("layer, title", [(0, "layer 0, Linear(64, 32, rng=0)"), (2, "layer 2, Linear(32, 10, rng=1)")])
def test_a_weight_that_is_not_finite_is_found_in_its_layer(layer, title):
    report = diagnose(with_weights(network(), f"{layer}.W", planted), *digits())
    assert report.nonfinite == f"{title}, in forward"
    (only,) = report.findings
    assert only.startswith(f"the first values that are not finite appear in {title}, in forward: its W holds 1 of ")
    assert "the first at (4, 1); start from new weights" in only
    assert "nan" in str(report)


def test_the_first_layer_that_overflows_is_found():
    report = diagnose(network(Times(1e30), Times(1e30)), *digits())
    assert report.nonfinite == "layer 3, Times(1e+30), in forward"
    assert "scale down what it is given" in report.findings[0]


def test_the_first_value_of_backward_that_is_not_finite_is_found():
    report = diagnose(network(Root(), Times()), *digits())  # behind a ReLU, where some values are 0
    assert report.nonfinite == "layer 2, Root(), in backward"
    assert "though all are in forward" in report.findings[0]
    assert math.isfinite(report.loss)


def test_a_loss_that_is_not_finite_by_itself_is_found():
    class Lost(Own):
        def forward(self, x, y=None):
            super().forward(x, y)
            return math.nan

    assert diagnose(Lost(), *digits()).nonfinite == "the loss"


@pytest.mark.rows(
    "model, layer",
    [
        (Sequential(Linear(64, 10, rng=0), Times(1.0, -1.0), SoftmaxCrossEntropy()), "layer 1, Times(1.0, -1.0)"),
        (network(Times(1.0, -1.0)), "layer 2, Times(1.0, -1.0)"),
        (
            Sequential(Sequential(Linear(64, 10, rng=0), Times(1.0, -1.0)), SoftmaxCrossEntropy()),
            "layer 0.1, Times(1.0, -1.0)",
        ),
    ],
)
def test_a_wrong_sign_in_a_backward_keeps_a_model_from_overfitting_and_is_found(model, layer):
    report = diagnose(model, *digits())
    (only,) = report.findings
    before, after = report.overfit
    assert after > before / 2
    assert only.startswith("the model can't learn 32 samples by heart, 300 steps took their loss from 2.")
    assert f": the gradient that {layer} hands back to layer " in only and only.endswith(" more of a layer")


def test_samples_that_contradict_each_other_cannot_be_learned_by_heart():
    x, y = digits(10)
    model = Sequential(Linear(64, 10, rng=0), SoftmaxCrossEntropy())
    (only,) = findings(model, x=np.repeat(x[:2], 5, axis=0), y=y)
    assert only.endswith("try Adam; or it may be too small: try more units")
    assert only.startswith("the model can't learn 10 samples by heart")


@pytest.mark.rows("depth, rng", [(16, 4), (21, 3), (26, 0)])
def test_no_gradient_of_a_deep_net_that_cannot_learn_is_accused(depth, rng):
    draw = np.random.default_rng(rng)
    sizes = [(64, 32)] + [(32, 32)] * depth
    layers = [layer for size in sizes for layer in (Linear(*size, rng=draw), ReLU())]
    found = findings(Sequential(*layers, Linear(32, 10, rng=draw), SoftmaxCrossEntropy()))
    assert "the model can't learn 32 samples by heart" in found[-1] and "its gradients fit the loss" in found[-1]


def test_samples_are_taken_from_the_whole_batch():
    x, y = digits(500)
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    before, _ = diagnose(network(), x, y).overfit
    rows = [round(i * 499 / 31 - 0.5 + 1e-9) for i in range(32)]
    assert before == pytest.approx(network()(x[rows], y[rows]), rel=1e-5)


def test_a_model_without_parameters_is_told_so():
    x = np.eye(3, dtype=np.float32)
    report = diagnose(Sequential(LogSoftmax(), MeanSquaredError()), x, x)
    assert report.findings == ["the model has no parameters, there is nothing to train"]
    assert report.overfit is None


@pytest.mark.rows(
    "make, training", [(lambda: network(Dropout()), True), (lambda: network(Dropout(5)), False), (Own, True)]
)
def test_neither_the_model_nor_a_generator_nor_the_data_are_changed(make, training):
    seed(3)
    model, (x, y) = make().train(training), digits()
    model(x, y)
    model.backward()
    generators = [generator(), *model.walk(np.random.Generator).values()]
    before = copy.deepcopy((model.state_dict(), [p.grad for p in model.parameters()], x, y))
    states, attributes = (
        [g.bit_generator.state for g in generators],
        [list(vars(v)) for v in model.walk(Layer).values()],
    )
    arrays = [id(array) for p in model.parameters() for array in (p.data, p.grad)]
    caches = [id(vars(layer).get("cache")) for layer in model.walk(Layer).values()]
    diagnose(model, x, y)
    np.testing.assert_equal((model.state_dict(), [p.grad for p in model.parameters()], x, y), before)
    assert [g.bit_generator.state for g in generators] == states
    assert [list(vars(v)) for v in model.walk(Layer).values()] == attributes
    assert [id(array) for p in model.parameters() for array in (p.data, p.grad)] == arrays
    assert [id(vars(layer).get("cache")) for layer in model.walk(Layer).values()] == caches
    assert all(layer.training is training for layer in model.walk(Layer).values())


def test_a_layer_that_writes_into_its_input_does_not_write_into_the_data():
    class Careless(Layer):
        def forward(self, x):
            x += 1
            return x

    x, y = digits()
    before = x.copy()
    diagnose(Sequential(Careless(), network()), x, y)
    np.testing.assert_array_equal(x, before)


@pytest.mark.rows("make", [lambda: network(Dropout()), lambda: network(Times(1.0, 0.0))])
def test_the_report_is_always_the_same(make):
    seed(3)
    model = make()
    first, second = diagnose(model.eval(), *digits()), diagnose(model.train(), *digits())
    assert first == second and str(first) == str(second)


def test_what_was_left_in_the_gradients_does_not_count():
    model = network()
    first = diagnose(model, *digits())
    for p in model.parameters():
        p.grad += 1e6
    assert diagnose(model, *digits()) == first


def test_token_ids_and_lists_are_taken_as_they_are():
    class Table(Layer):
        def __init__(self):
            self.W = Parameter(np.random.default_rng(0).normal(size=(9, 4)))

        def forward(self, ids):
            self.cache = ids
            return self.W.data[ids].mean(axis=1)

        def backward(self, dy):
            np.add.at(self.W.grad, self.cache, dy[:, None] / self.cache.shape[1])

    model = Sequential(Table(), Linear(4, 3, rng=0), SoftmaxCrossEntropy())
    report = diagnose(model, [[0, 1], [2, 3], [4, 5], [6, 7], [8, 8]], [0, 1, 2, 0, 1])
    assert report.findings == [] and report.layers[0].dead is None


BAD_ARGUMENTS = [
    ({"model": "model"}, TypeError, "diagnose: expected model to be a Layer, got 'model'"),
    ({"model": np.ones((50, 64))}, TypeError, r"expected model to be a Layer, got an array of shape \(50, 64\)$"),
    ({"x": np.ones((5, 64))}, ValueError, r"one row for each of some samples, got shapes \(5, 64\) and \(64,\)"),
    ({"x": np.ones((0, 64)), "y": np.ones(0, int)}, ValueError, "one row for each"),
    ({"x": 3.0}, ValueError, "one row for each"),
    ({"y": 3}, ValueError, "one row for each"),
    ({"lr": -0.1}, ValueError, "diagnose: expected lr to be at least 0"),
    ({"lr": math.nan}, ValueError, "diagnose: expected lr"),
    ({"lr": "fast"}, TypeError, "diagnose: expected lr to be a number"),
    ({"model": Sequential(Linear(64, 10, rng=0))}, ValueError, "does not end in a loss"),
    ({"model": network(Linear(5, 5, rng=0))}, ValueError, "layer 2, .*expected x of shape"),
]


@pytest.mark.rows("bad, error, text", BAD_ARGUMENTS)
def test_wrong_arguments_are_refused(bad, error, text):
    x, y = digits()
    state = generator().bit_generator.state
    with pytest.raises(error, match=text):
        diagnose(**({"model": network(), "x": x, "y": y} | bad))
    assert generator().bit_generator.state == state


class Gain(Layer):
    """y = a x with one number a, whose gradient becomes a NumPy number."""

    def __init__(self):
        self.a = Parameter(2.0)

    def forward(self, x):
        self.cache = x
        return self.a.data * x

    def backward(self, dy):
        self.a.grad = self.a.grad + (dy * self.cache).sum()
        return self.a.data * dy


def test_a_parameter_of_one_number_is_trained_with_the_others():
    model = network(Gain())
    report = diagnose(model, *digits())
    assert report.findings == [] and report.layers[2].updates["a"] > 0
    model(*digits())
    model.backward()
    model[2].a.data = np.float32(2.0)
    assert not isinstance(model[2].a.grad, np.ndarray)
    assert diagnose(model, *digits()) == report


def test_arrays_that_cannot_be_written_to_are_diagnosed_as_any_others():
    model, (x, y) = network(BatchNorm(32)), digits()
    expected = diagnose(model, x, y)
    for state in model.walk(Parameter, Buffer).values():
        state.data.flags.writeable = False
    for p in model.parameters():
        p.grad.flags.writeable = False
    x.flags.writeable = y.flags.writeable = False
    assert diagnose(model, x, y) == expected
    assert not model[0].W.data.flags.writeable


def test_half_precision_data_are_diagnosed_in_single():
    x, y = digits()
    half = x.astype(np.float16)
    assert diagnose(network(), half, y) == diagnose(network(), half.astype(np.float32), y)
    report = diagnose(network(), 6e4 * half, y)
    assert report.findings[0].startswith("the size of x is 2.8"), "whose square is infinite in half precision"
    model = Sequential(Linear(64, 1, rng=0), MeanSquaredError())
    target = x[:, 20:21].astype(np.float16)
    assert diagnose(model, x, target) == diagnose(model, x, target.astype(np.float32))


NO_ARRAYS = [
    (lambda a: (a, a), "tuple"),
    (lambda a: np.ma.masked_array(a, a > 0.5), "a masked array, whose mask would be lost"),
    (lambda a: a.astype(object), "of real numbers, got an array of dtype object"),
]


@pytest.mark.rows(
    "name, change, text",
    [(name, *row) for name in "xy" for row in NO_ARRAYS if name == "y" or row[1] != "tuple"],  # which x may be
)
def test_what_an_array_would_lose_is_refused(name, change, text):
    given = dict(zip("xy", digits(2)))
    with pytest.raises(TypeError, match=f"diagnose: expected {name} to be an array.*{text}"):
        diagnose(network(), **given | {name: change(given[name])})


class Raises(Layer):
    """A layer that raises in forward or in backward."""

    def __init__(self, where):
        self.where = where

    def forward(self, x):
        return np.zeros(3) @ x if self.where == "forward" else x

    def backward(self, dy):
        raise KeyError("mask")


@pytest.mark.rows(
    "where, error, text",
    [
        ("forward", ValueError, r"^layer layers\.1, Raises\('forward'\), in forward given shape \(64, 32\): .*matmul"),
        ("backward", KeyError, r"layer layers\.1, Raises\('backward'\), in backward given shape \(64, 32\): mask"),
    ],
)
def test_what_a_layer_raises_names_it_also_where_its_model_does_not(where, error, text):
    class Calls(Layer):
        def __init__(self):
            self.layers = [Linear(64, 32, rng=0), Raises(where), Linear(32, 10, rng=1), SoftmaxCrossEntropy()]

        def forward(self, x, y):
            for layer in self.layers[:-1]:
                x = layer.forward(x)
            return self.layers[-1].forward(x, y)

        def backward(self):
            dy = self.layers[-1].backward()
            for layer in reversed(self.layers[:-1]):
                dy = layer.backward(dy)

    with pytest.raises(error, match=text):
        diagnose(Calls(), *digits())


def test_what_a_loss_of_ones_own_raises_names_it_and_what_it_was_given():
    class Cubic(Loss):
        def forward(self, y, target=None):
            return float(((y - target) ** 3).mean())

    with pytest.raises(ValueError, match=r"layer 1, Cubic\(\), given shape \(64, 10\) by layer 0, Linear.*broadcast"):
        diagnose(Sequential(Linear(64, 10, rng=0), Cubic()), *digits())


def test_a_place_is_said_once():
    with pytest.raises(ValueError) as caught:
        diagnose(network(Linear(5, 5, rng=0)), *digits())
    assert str(caught.value).count("Linear(5, 5, rng=0)") == 1


def test_a_loss_that_raises_where_training_has_led_ends_no_diagnosis():
    class Narrow(Loss):
        """A mean square that refuses predictions that are not small."""

        def forward(self, y, target=None):
            if abs(y).max() > 2:
                raise ValueError("too large")
            self.cache = y - target
            return float((self.cache**2).mean())

        def backward(self, dloss=1.0):
            return 2 * dloss * self.cache / self.cache.size

    x, y = digits()
    model = Sequential(Linear(64, 1, rng=0), Narrow())
    model[0].W.data *= 0.1
    report = diagnose(model, x, y[:, None].astype(np.float32))
    assert report.overfit[1] < report.overfit[0]


@pytest.mark.rows("change", [lambda dx: 1.5 * dx, lambda dx: 0.5 * dx])
def test_a_wrong_gradient_is_found_in_a_model_that_learns_all_the_same(change):
    (only,) = diagnose(network(Times(1.0, float(change(1.0)))), *digits()).findings
    assert (
        only.startswith("the gradient that layer 2, Times(1.0, ") and "hands back to layer 1, ReLU() is wrong" in only
    )


class Dense(Layer):
    """The layer that most beginners write first: plain arrays, which no optimizer will ever see."""

    def __init__(self, inputs, outputs):
        self.W = np.random.default_rng().normal(size=(inputs, outputs)).astype(np.float32)
        self.dW = np.zeros_like(self.W)

    def forward(self, x):
        self.cache = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.cache.T @ dy
        return dy @ self.W.T


class Table(Layer):
    """A layer with a constant: it is handed to the constructor, or computed there."""

    def __init__(self, mean):
        self.mean, self.waves = mean, np.sin(np.arange(4.0, dtype=np.float32))

    def forward(self, x):
        return x - self.mean + self.waves

    def backward(self, dy):
        return dy


def test_plain_arrays_that_nobody_trains_are_named_and_constants_are_not():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 4)).astype(np.float32), rng.integers(0, 3, 32)
    model = Sequential(Table(x.mean(axis=0)), Dense(4, 8), ReLU(), Linear(8, 3, rng=0), SoftmaxCrossEntropy())
    findings = diagnose(model, x, y).findings
    assert [finding for finding in findings if "neither trained nor saved" in finding] == findings[:1]
    assert findings[0].startswith("layer 1, Dense(4, 8): W: neither trained nor saved; make it a Parameter")
    fixed = Sequential(Table(x.mean(axis=0)), Linear(4, 8, rng=1), ReLU(), Linear(8, 3, rng=0), SoftmaxCrossEntropy())
    assert not [finding for finding in diagnose(fixed, x, y).findings if "neither" in finding]


class Weighted(Layer):
    """The sum of two losses, or a multiple of one."""

    def __init__(self, *weights):
        self.body, self.weights, self.losses = Linear(4, 3, rng=0), weights, [SoftmaxCrossEntropy() for _ in weights]

    def forward(self, x, y=None):
        z = self.body(x)
        return z if y is None else sum(weight * loss(z, y) for weight, loss in zip(self.weights, self.losses))

    def backward(self):
        self.body.backward(sum(loss.backward(weight) for weight, loss in zip(self.weights, self.losses)))


@pytest.mark.rows("weights, known", [((1.0,), True), ((10.0,), False), ((1.0, 1.0), False)])
def test_the_loss_of_a_guess_is_known_of_a_model_with_one_loss_only(weights, known):
    model = Weighted(*weights)
    model.body.W.data *= 0.01
    x, y = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32), np.arange(30) % 3
    found = diagnose(model, x, y)
    assert (found.chance is not None) == known
    assert not [finding for finding in found.findings if "the initial loss is" in finding]
