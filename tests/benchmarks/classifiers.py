"""A perceptron on the digits through `fit`, in minnet and in scikit-learn, from the same weights."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
from harness import Race
from nets import perceptron
from numpy import ndarray as Array
from worker import Contestant

import minnet

SIZES = 64, 64, 10
BATCH, EPOCHS = 32, 30


def classifier_race() -> Race:
    minnet.seed(0)
    weights = [parameter.data for parameter in perceptron(*SIZES).parameters()]
    contestants = {"minnet fit": partial(minnet_fit, weights), "scikit-learn": partial(sklearn_fit, weights)}
    title = "scikit-learn's `MLPClassifier`, 64-64-10, 30 epochs of the digits, batch 32, Adam"
    return Race("classifier", title, contestants, unit="ms", scale=1e-3, warm_up=False)


def minnet_fit(weights: list[Array]) -> Contestant:
    model, (x, y) = perceptron(*SIZES), minnet.load_digits()

    def run(epochs: int = EPOCHS, shuffle: bool = True) -> None:
        for parameter, array in zip(model.parameters(), weights):
            parameter.data = array.copy()
        optimizer = minnet.Adam(model.parameters())
        minnet.fit(model, optimizer, minnet.Batches(x, y, BATCH, shuffle, rng=0), epochs, progress=False)

    return Contestant(
        run, lambda: [parameter.data for parameter in model.parameters()], rehearse=partial(run, 1, False)
    )


def sklearn_fit(weights: list[Array]) -> Contestant:
    """It begins with the weights that it is given, since it is told that this is a warm start."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    (x, y), own = minnet.load_digits(), {"alpha": 0.0, "tol": 0.0, "n_iter_no_change": 10**6, "warm_start": True}
    model = MLPClassifier(SIZES[1:-1], batch_size=BATCH, **own)

    def fit(epochs: int, shuffle: bool) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # that these were all the epochs
            model.set_params(max_iter=epochs, shuffle=shuffle).fit(x, y)

    def parameters() -> list[Array]:
        return [array for pair in zip(model.coefs_, model.intercepts_) for array in pair]

    def run(epochs: int = EPOCHS, shuffle: bool = True) -> None:
        for array, first in zip(parameters(), weights):
            array[...] = first
        fit(epochs, shuffle)

    fit(1, False)  # it makes its arrays
    assert all(array.dtype == np.float32 for array in parameters())
    return Contestant(run, parameters, rehearse=partial(run, 1, False))
