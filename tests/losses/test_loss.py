import math

import numpy as np
import pytest

from minnet import (
    SGD,
    Adam,
    Batches,
    LayerCheckError,
    Linear,
    Loss,
    Sequential,
    Softmax,
    check_layer,
    evaluate,
    fit,
    predict,
)

SCORES = np.array([[1, 2, 3, 5], [4, 5.5, 2, 3], [0.5, -1, 2, 0.25]])
SHARES = np.array([[0.1, 0.2, 0.3, 0.4], [0, 1, 0, 0], [0.25, 0.25, 0.5, 0]])


def plane(seed=0):
    """x, and y that depends on it linearly."""
    x = np.random.default_rng(seed).normal(size=(64, 3)).astype(np.float32)
    return x, x @ np.array([[1.0], [-2.0], [0.5]], np.float32) + 0.25


class LogCosh(Loss):
    def forward(self, y, target=None):
        if target is None:
            self.clear_cache()
            return y
        self.cache = e = y - target
        return float(np.mean(np.logaddexp(e, -e) - math.log(2)))

    def backward(self, dloss=1.0):
        e = self.cache
        return np.tanh(e) * (float(dloss) / e.size)


def test_a_loss_of_ones_own_is_checked_and_trained_like_the_built_in_ones():
    check_layer(LogCosh(), SCORES, SHARES)
    model = Sequential(Linear(3, 1, rng=0), LogCosh())
    x, y = plane()
    check_layer(model, x, y)
    optimizer = Adam(model.parameters(), lambda step: 0.1 * 0.99**step)
    history = fit(
        model, optimizer, Batches(x, y, batch_size=16, rng=0), epochs=100, validation=[(x, y)], progress=False
    )
    assert set(history) == {"loss", "val_loss", "lr", "seconds"}
    assert history["val_loss"][-1] < 1e-4
    np.testing.assert_allclose(predict(model, x), y, atol=0.05)


def test_a_loss_of_ones_own_is_averaged_over_samples_and_may_count_what_is_right():
    class Near(LogCosh):
        def count_correct(self):
            return int(np.count_nonzero(abs(self.cache) < 1)), self.cache.size

    batches = [(SCORES[:1], SHARES[:1]), (SCORES[1:], SHARES[1:])]
    result = evaluate(Sequential(Near()), batches)
    assert result["loss"] == pytest.approx(LogCosh()(SCORES, SHARES), rel=1e-12)
    assert result["accuracy"] == 3 / 12
    model = Sequential(Linear(4, 4, rng=0), Near())
    history = fit(model, SGD(model.parameters(), lr=0.1), batches, epochs=1, progress=False)
    assert set(history) == {"loss", "accuracy", "lr", "seconds"}


def test_a_loss_of_ones_own_with_a_wrong_gradient_is_found_out():
    class Sum(LogCosh):
        def backward(self, dloss=1.0):
            return np.tanh(self.cache) * dloss

    class Unscaled(LogCosh):
        def backward(self, dloss=1.0):
            return super().backward()

    class ReportsAnother(LogCosh):
        def forward(self, y, target=None):
            super().forward(y, target)
            return float(np.sum(np.square(self.backward())))

    for wrong in (Sum, Unscaled, ReportsAnother):
        with pytest.raises(LayerCheckError, match="wrong gradient of y"):
            check_layer(wrong(), SCORES, SHARES)


def test_a_loss_of_ones_own_with_a_sigmoid_inside_says_so():
    class TakesScores(LogCosh):
        takes_scores = True

    with pytest.raises(ValueError, match=r"Softmax\(\) in front of TakesScores\(\)"):
        Sequential(Linear(4, 2), Softmax(), TakesScores())
    Sequential(Linear(4, 2), Softmax(), LogCosh())


def test_the_base_says_what_a_loss_of_ones_own_lacks():
    class Empty(Loss):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty\(\): has no forward"):
        Empty()(SCORES, SHARES)
    with pytest.raises(NotImplementedError, match=r"Empty\(\): has no backward"):
        Empty().backward()
