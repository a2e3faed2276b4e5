"""A layer-based mini neural-net framework in NumPy, without autograd: the derivation is the code, and it is checked."""

from .data.batches import Batches
from .data.digits import load_digits
from .data.idx import load_idx
from .data.preprocessing import Standardize, one_hot
from .data.split import train_test_split
from .errors import CheckpointError, LayerCheckError
from .files.models import load, save
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
from .insight.check_layer import check_layer
from .insight.diagnose import diagnose
from .insight.summary import summary
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
from .losses.classification import MulticlassHinge, SoftmaxCrossEntropy
from .losses.elementwise import BinaryCrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from .losses.loss import Loss
from .metrics import accuracy, classification_report, confusion_matrix, r2_score, top_k_accuracy
from .optimizers.first_order import SGD, Adagrad, Adam, AdamW, RMSprop
from .optimizers.lbfgs import LBFGS
from .optimizers.optimizer import Optimizer
from .optimizers.schedules import cosine_decay, exponential_decay, linear_decay, linear_warmup, one_cycle, step_decay
from .random import generator, seed
from .training.evaluate import evaluate
from .training.fit import fit
from .training.history import History
from .training.predict import predict

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LBFGS",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm",
    "Batches",
    "BinaryCrossEntropy",
    "Buffer",
    "CheckpointError",
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
    "Huber",
    "LastStep",
    "Layer",
    "LayerCheckError",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MaxPool2d",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultiHeadAttention",
    "MulticlassHinge",
    "Optimizer",
    "PReLU",
    "Parameter",
    "PositionalEmbedding",
    "RMSNorm",
    "RMSprop",
    "ReLU",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Softplus",
    "Standardize",
    "Tanh",
    "accuracy",
    "check_layer",
    "classification_report",
    "confusion_matrix",
    "constant",
    "cosine_decay",
    "diagnose",
    "evaluate",
    "exponential_decay",
    "fit",
    "generator",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "linear_decay",
    "linear_warmup",
    "load",
    "load_digits",
    "load_idx",
    "normal",
    "one_cycle",
    "one_hot",
    "orthogonal",
    "predict",
    "r2_score",
    "save",
    "seed",
    "step_decay",
    "summary",
    "top_k_accuracy",
    "train_test_split",
    "uniform",
    "zeros",
]
