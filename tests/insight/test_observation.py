import copy
import math

import numpy as np
import pytest

from minnet import (
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
    seed,
)
from minnet.insight import observation
from minnet.insight.observation import (
    Observation,
    is_real,
    learn_by_heart,
    loss_of_equal_scores,
    norm,
    rms,
    wrong_gradient,
)


class Dropout(Layer):
    def __init__(self, rng=None):
        self.rng = generator(rng)

    def forward(self, x):
        self.cache = mask = (self.rng.random(x.shape) < 0.5).astype(x.dtype)
        return 2 * x * mask

    def backward(self, dy):
        return 2 * dy * self.cache


class Scaled(Layer):
    """y = g x + Linear(x): parameters of its own, and a layer below it. Its dg is `wrong` times what it should be."""

    def __init__(self, features, wrong=1.0):
        self.g = Parameter(np.ones(features))
        self.inner = Linear(features, features, rng=0)
        self.wrong = wrong

    def forward(self, x):
        self.cache = x
        return self.g.data * x + self.inner.forward(x)

    def backward(self, dy):
        self.g.grad += self.wrong * (dy * self.cache).sum(axis=0)
        return self.g.data * dy + self.inner.backward(dy)


class Passes(Layer):
    """y = x, with a backward that hands back something else."""

    def __init__(self, backward):
        self.handed_back = backward

    def forward(self, x):
        return x

    def backward(self, dy):
        return self.handed_back(dy)


class LogLikelihood(Loss):
    """−the mean log-probability of the label, given log-probabilities."""

    def forward(self, y, target=None):
        if target is None:
            return y
        self.cache = y.shape, target
        return float(-y[np.arange(len(y)), target].mean())

    def backward(self, dloss=1.0):
        shape, target = self.cache
        dy = np.zeros(shape)
        dy[np.arange(len(target)), target] = -dloss / len(target)
        return dy


class Brier(Loss):
    """Takes probabilities, and says so."""

    def forward(self, p, target=None):
        if abs(p.sum(axis=1) - 1).max() > 1e-3:
            raise ValueError("expected probabilities")
        self.cache = p
        return float((p**2).mean())


def classifier(*between):
    return Sequential(Linear(3, 4, rng=0), ReLU(), *between, Linear(4, 2, rng=1), SoftmaxCrossEntropy())


def batch(n=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 2, n)


def observed(model, data=None):
    trial = Observation(model, *(data or batch()))
    trial.forward()
    trial.backward()
    return trial


def test_what_passes_each_layer_is_kept():
    model, (x, y) = classifier(), batch()
    trial = observed(model, (x, y))
    first, relu, second, loss = trial.called
    assert [watch.name for watch in trial.called] == ["0", "1", "2", "3"]
    assert trial.returned == [loss, second, relu, first]
    np.testing.assert_array_equal(first.x, x)
    assert loss.inputs[1] is y and isinstance(loss.y, float)
    np.testing.assert_array_equal(first.y, model[0](x))
    assert relu.x is first.y and second.x is relu.y and loss.x is second.y
    assert first.dy is relu.dx and relu.dy is second.dx and second.dy is loss.dx
    assert first.dx is None
    model(x, y)
    model.backward()
    for watch, layer in ((first, model[0]), (second, model[2])):
        for name, p in layer.named_parameters().items():
            np.testing.assert_array_equal(watch.own[name].grad, p.grad)


def test_layers_are_titled_as_errors_title_them():
    trial = observed(Sequential(Sequential(Linear(3, 2, rng=0)), SoftmaxCrossEntropy()))
    assert [watch.title for watch in trial.called] == [
        "layer 0.0, Linear(3, 2, rng=0)",
        "layer 1, SoftmaxCrossEntropy()",
    ]
    x, _ = batch()
    alone = Observation(MeanSquaredError(), x, x)
    alone.forward()
    assert [watch.title for watch in alone.called] == ["MeanSquaredError()"]


def test_a_layer_with_parameters_of_its_own_is_watched_beside_those_below_it():
    trial = observed(Sequential(Scaled(3), SoftmaxCrossEntropy()), (batch()[0], batch()[1]))
    assert [(watch.name, list(watch.own)) for watch in trial.called] == [
        ("0.inner", ["W", "b"]),
        ("0", ["g"]),
        ("1", []),
    ]


def test_the_lists_are_those_of_the_last_pass():
    trial = observed(classifier())
    trial.forward()
    trial.backward()
    assert len(trial.called) == len(trial.returned) == 4


def test_a_second_backward_does_not_add():
    trial = observed(classifier())
    before = [p.grad.copy() for p in trial.model.parameters()]
    trial.backward()
    np.testing.assert_equal([p.grad for p in trial.model.parameters()], before)


@pytest.mark.rows("rng", [None, 3])
def test_every_pass_draws_the_same_and_the_generators_are_put_back(rng):
    seed(1)
    model = classifier(Dropout(rng))
    package, own = generator().bit_generator.state, model[2].rng.bit_generator.state
    trial = Observation(model, *batch())
    losses = {trial.forward() for _ in range(5)}
    assert len(losses) == 1
    assert generator().bit_generator.state == package
    assert model[2].rng.bit_generator.state == own


def test_a_layer_that_draws_from_the_package_is_rewound_too():
    class Noise(Layer):
        def forward(self, x):
            return x + generator().normal(size=x.shape)

        def backward(self, dy):
            return dy

    seed(1)
    before = generator().bit_generator.state
    trial = Observation(classifier(Noise()), *batch())
    assert trial.forward() == trial.forward()
    assert generator().bit_generator.state == before


def test_the_generators_are_put_back_after_an_exception():
    class Fails(Layer):
        def forward(self, x):
            generator().normal()
            raise KeyboardInterrupt

    before = generator().bit_generator.state
    with pytest.raises(KeyboardInterrupt):
        Observation(classifier(Fails()), *batch()).forward()
    assert generator().bit_generator.state == before


def test_the_copy_is_in_training_mode_and_the_model_stays_as_it_is():
    model = classifier().eval()
    model(*batch())
    model.backward()
    before = copy.deepcopy([(vars(p)) for p in model.parameters()])
    trial = observed(model)
    assert all(layer.training for layer in trial.model.walk(Layer).values())
    assert not any(layer.training for layer in model.walk(Layer).values())
    np.testing.assert_equal([vars(p) for p in model.parameters()], before)
    assert not any({"forward", "backward"} & set(vars(layer)) for layer in model.walk(Layer).values())


def test_a_model_that_gives_no_loss_is_refused():
    class Scores(Linear):
        def forward(self, x, y=None):
            return super().forward(x)

    with pytest.raises(TypeError, match=r"Scores\(3, 2, rng=0\): expected model\(x, y\) to be the loss, a float, got"):
        Observation(Scores(3, 2, rng=0), *batch()).forward()


@pytest.mark.rows("scale", [1e-3, 1.0, 100.0])
def test_a_few_samples_are_learned_by_heart_whatever_the_scale_of_the_weights(scale):
    model = Sequential(Linear(3, 32, rng=0), ReLU(), Linear(32, 2, rng=1), SoftmaxCrossEntropy())
    model[0].W.data *= scale
    x, y = batch()
    before, after = learn_by_heart(model, x, y)
    assert before == pytest.approx(model(x, y), rel=1e-6)
    assert after < 0.01
    assert model(x, y) == before


@pytest.mark.rows("scale", [0.01, 1.0, 100.0])
def test_the_learning_rate_finds_itself(scale):
    x = scale * np.array([[1.0, 0.5], [-1.0, 0.25]])
    model = Sequential(Linear(2, 1, bias=False, rng=0), MeanSquaredError()).astype(np.float64)
    before, after = learn_by_heart(model, x, np.array([[1.0], [2.0]]))
    assert after < 1e-3 * before


def test_two_samples_that_contradict_each_other_are_not_learned():
    x, y = np.ones((2, 3), np.float32), np.array([0, 1])
    assert learn_by_heart(classifier(), x, y)[1] == pytest.approx(math.log(2), rel=1e-4)


def test_a_model_whose_gradient_points_up_learns_nothing_and_gets_no_worse():
    before, after = learn_by_heart(
        Sequential(Linear(3, 2, rng=0), Passes(np.negative), SoftmaxCrossEntropy()), *batch()
    )
    assert after == before


def test_dropout_is_the_same_in_each_step_of_learning_by_heart():
    model = Sequential(Linear(3, 64, rng=0), ReLU(), Dropout(0), Linear(64, 2, rng=1), SoftmaxCrossEntropy())
    assert learn_by_heart(model, *batch())[1] < 0.01


@pytest.mark.rows("model", [classifier(), classifier(Dropout(0)), Sequential(Scaled(3), SoftmaxCrossEntropy())])
def test_right_gradients_fit(model):
    assert wrong_gradient(model, *batch()) is None


WRONG = [  # model, what is said to be wrong
    (classifier(Passes(lambda dy: -dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (classifier(Passes(lambda dy: 0 * dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (classifier(Passes(lambda dy: 1.1 * dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (classifier(Passes(lambda dy: dy[:1])), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (Sequential(Passes(np.negative), classifier()), None),  # nobody uses what it hands back
    (Sequential(Scaled(3, wrong=-1.0), SoftmaxCrossEntropy()), "the gradient of g of layer 0, Scaled(3, wrong=-1.0)"),
    (
        Sequential(Linear(3, 3, rng=0), Scaled(3, wrong=2.0), SoftmaxCrossEntropy()),
        "the gradient of g of layer 1, Scaled(3, wrong=2.0)",
    ),
]


@pytest.mark.rows("model, expected", WRONG)
def test_the_layer_with_the_wrong_backward_is_named(model, expected):
    found = wrong_gradient(model, *batch())
    assert (found is None) == (expected is None)
    assert expected is None or expected in found


def kinked(*between):
    return Sequential(Linear(3, 8, rng=0), ReLU(), *between, Linear(8, 2, rng=1), SoftmaxCrossEntropy())


def pooled(relu):
    return Sequential(
        Conv2d(1, 2, 3, rng=0), relu, MaxPool2d(2), Flatten(), Linear(18, 2, rng=1), SoftmaxCrossEntropy()
    )


class ReluPassesAll(ReLU):
    """A ReLU that forgets in backward where it was 0."""

    def backward(self, dy):
        return dy


ON_KINKS = [  # model, x; with x = 0 every hidden unit is on the kink of its ReLU, and every window of a pooling tied
    (kinked(), np.zeros((6, 3))),
    (kinked(ReLU()), batch()[0]),
    (pooled(ReLU()), np.zeros((6, 8, 8, 1))),
    (pooled(ReLU()), np.random.default_rng(0).normal(size=(6, 8, 8, 1))),  # many a window of what ReLU gives is all 0
]


@pytest.mark.rows("model, x", ON_KINKS)
def test_a_right_gradient_is_not_accused_where_the_slopes_of_two_sides_differ(model, x):
    assert wrong_gradient(model, x.astype(np.float32), batch()[1]) is None


@pytest.mark.rows(
    "model, x, wrong",
    [
        (kinked(Passes(np.negative)), np.zeros((6, 3)), "layer 2, Passes(negative)"),
        (kinked(ReLU(), Passes(np.negative)), batch()[0], "layer 3, Passes(negative)"),
        (pooled(ReluPassesAll()), np.zeros((6, 8, 8, 1)), "layer 1, ReluPassesAll()"),
    ],
)
def test_a_wrong_gradient_is_found_on_a_kink_too(model, x, wrong):
    assert f"{wrong} hands back" in wrong_gradient(model, x.astype(np.float32), batch()[1])


def test_of_two_wrong_layers_the_one_nearer_to_the_loss_is_named():
    model = Sequential(
        Linear(3, 4, rng=0), Passes(np.negative), Linear(4, 4, rng=1), Passes(np.negative), SoftmaxCrossEntropy()
    )
    assert "layer 3, " in wrong_gradient(model, *batch())


@pytest.mark.rows(
    "model, expected",
    [
        (Sequential(Linear(3, 5, rng=0), SoftmaxCrossEntropy()), math.log(5)),
        (Sequential(Linear(3, 5, rng=0), SoftmaxCrossEntropy(label_smoothing=0.1)), math.log(5)),
        (Sequential(Linear(3, 5, rng=0), MulticlassHinge(margin=2.0)), 8.0),
        (Sequential(Linear(3, 5, rng=0), LogSoftmax(), LogLikelihood()), 0.0),
    ],
)
def test_the_loss_of_equal_scores_is_known(model, expected):
    assert loss_of_equal_scores(model, observed(model)) == pytest.approx(expected, rel=1e-12)


def test_the_loss_of_equal_scores_is_not_known_where_the_loss_refuses_them_or_is_no_layer():
    class Own(Layer):
        def __init__(self):
            self.inner = Linear(3, 2, rng=0)

        def forward(self, x, y):
            return float(self.inner.forward(x).sum())

    probabilities = np.full((4, 2), 0.5)
    trial = Observation(Brier(), probabilities, np.zeros(4, int))
    trial.forward()
    assert loss_of_equal_scores(Brier(), trial) is None
    trial = Observation(Own(), *batch())
    trial.forward()
    assert loss_of_equal_scores(Own(), trial) is None


def test_a_target_by_name_is_handed_on():
    class Own(Layer):
        def __init__(self):
            self.inner, self.loss = Linear(3, 2, rng=0), SoftmaxCrossEntropy()

        def forward(self, x, y):
            return self.loss.forward(self.inner.forward(x), target=y)

    trial = Observation(Own(), *batch())
    trial.forward()
    assert loss_of_equal_scores(Own(), trial) == pytest.approx(math.log(2), rel=1e-12)


def test_norm_and_root_mean_square_do_not_overflow():
    array = np.array([[3e30, -4e30]], np.float32)
    assert norm(array) == pytest.approx(5e30, rel=1e-6)
    assert rms(array) == pytest.approx(5e30 / math.sqrt(2), rel=1e-6)


@pytest.mark.rows(
    "value, expected",
    [(np.ones(2), True), (np.ones((), np.float32), True), (np.ones(0), False), (np.arange(3), False), (1.0, False)],
)
def test_only_floating_arrays_with_entries_are_real(value, expected):
    assert is_real(value) is expected


def test_a_look_beside_a_kink_leaves_the_gradients_of_the_place_itself():
    """A gradient that is looked at afterwards must be the one of the place where it is looked at."""
    model, y = kinked().astype(np.float64), batch()[1]
    trial = Observation(model, np.zeros((6, 3)), y)
    trial.forward()
    trial.backward()
    before = {watch.name: watch.dy.copy() for watch in trial.called if is_real(watch.dy)}
    linear = trial.called[0]
    assert observation._fits(trial, linear, "push", linear.y, "dy")
    after = {watch.name: watch.dy for watch in trial.called}
    assert all(np.array_equal(dy, after[name]) for name, dy in before.items())
