"""A layer-based mini neural-net framework in NumPy, without autograd: the derivation is the code, and it is checked."""

from .check import check_layer
from .data import Batches, load_digits, train_test_split
from .initializers import (
    constant,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    normal,
    orthogonal,
    uniform,
    zeros,
)
from .inspection import summary
from .layer import Buffer, Layer, Parameter
from .layers.activations import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from .layers.attention import MultiHeadAttention
from .layers.containers import Concatenate, Residual, Sequential
from .layers.convolution import Conv1d, Conv2d, ConvTranspose2d
from .layers.dropout import Dropout
from .layers.linear import Embedding, Linear, PositionalEmbedding
from .layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from .layers.pooling import AvgPool2d, GlobalAveragePool, MaxPool2d
from .layers.recurrent import GRU, LSTM, RNN
from .layers.shape import Flatten, LastStep, Reshape
from .losses import Loss, MeanSquaredError, SoftmaxCrossEntropy
from .metrics import accuracy, confusion_matrix
from .optimizers import SGD
from .random import generator, seed
from .training import History, evaluate, fit, predict
from .trial import LayerCheckError

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "AvgPool2d",
    "BatchNorm",
    "Batches",
    "Buffer",
    "Concatenate",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePool",
    "GroupNorm",
    "History",
    "LastStep",
    "Layer",
    "LayerCheckError",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MaxPool2d",
    "MeanSquaredError",
    "MultiHeadAttention",
    "PReLU",
    "Parameter",
    "PositionalEmbedding",
    "RMSNorm",
    "ReLU",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Softplus",
    "Tanh",
    "accuracy",
    "check_layer",
    "confusion_matrix",
    "constant",
    "evaluate",
    "fit",
    "generator",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "load_digits",
    "normal",
    "orthogonal",
    "predict",
    "seed",
    "summary",
    "train_test_split",
    "uniform",
    "zeros",
]
