"""A layer-based mini neural-net framework in NumPy, without autograd: the derivation is the code, and it is checked."""

from .check import check_layer
from .data import Batches, load_digits, train_test_split
from .initializers import glorot_uniform, he_normal, zeros
from .layer import Buffer, Layer, Parameter
from .layers.activations import LogSoftmax, ReLU, Softmax
from .layers.containers import Sequential
from .layers.linear import Linear
from .layers.shape import Flatten
from .losses import Loss, MeanSquaredError, SoftmaxCrossEntropy
from .metrics import accuracy, confusion_matrix
from .optimizers import SGD
from .random import generator, seed
from .training import History, evaluate, fit, predict
from .trial import LayerCheckError

__all__ = [
    "SGD",
    "Batches",
    "Buffer",
    "Flatten",
    "History",
    "Layer",
    "LayerCheckError",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MeanSquaredError",
    "Parameter",
    "ReLU",
    "Sequential",
    "Softmax",
    "SoftmaxCrossEntropy",
    "accuracy",
    "check_layer",
    "confusion_matrix",
    "evaluate",
    "fit",
    "generator",
    "glorot_uniform",
    "he_normal",
    "load_digits",
    "predict",
    "seed",
    "train_test_split",
    "zeros",
]
