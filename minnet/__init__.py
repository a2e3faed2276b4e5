"""A layer-based mini neural-net framework in NumPy, without autograd.

The derivation is the code, and it is checked. A model is layers in a row,
the last of them a loss; an optimizer updates their parameters. There are:

Layers
    together        Sequential Residual Concatenate Parallel Padded
    linear, of ids  Linear Embedding PositionalEmbedding
    images, signals Conv1d Conv2d ConvTranspose2d
                    MaxPool2d AvgPool2d GlobalAveragePool Upsample2d
    sequences       RNN LSTM GRU LastStep
                    MultiHeadAttention CrossAttention
    activations     ReLU LeakyReLU PReLU ELU GELU SiLU Sigmoid Tanh Softplus
                    Softmax LogSoftmax
    regularization  Dropout BatchNorm LayerNorm RMSNorm GroupNorm
    shapes          Flatten Reshape
Losses
    of classes      SoftmaxCrossEntropy BinaryCrossEntropy MulticlassHinge
    of numbers      MeanSquaredError MeanAbsoluteError Huber
Training
    the loop        fit, which returns a History; evaluate predict
    optimizers      SGD RMSprop Adagrad Adam AdamW; LBFGS in your own loop
    learning rates  step_decay exponential_decay linear_decay cosine_decay
                    linear_warmup one_cycle
    first weights   zeros constant normal uniform orthogonal glorot_uniform
                    glorot_normal he_uniform he_normal lecun_normal
    randomness      seed generator
    files           save load; CheckpointError for a damaged or foreign one
Data
    read            load_digits load_idx
    prepared        train_test_split Standardize one_hot pad_sequences
                    Batches
Insight
    right?          check_layer; LayerCheckError where a gradient is wrong
    good?           accuracy top_k_accuracy confusion_matrix
                    classification_report r2_score
    in a model      summary
    no learning?    diagnose
Of your own
    to derive from  Layer Loss Optimizer
    in a layer      Parameter SparseParameter Buffer

After `import minnet as mn`, help(mn.Layer) says how to write a layer, and
help(mn.check_layer) what is checked of it; help(mn.fit) has all options of
the loop, help of any other name its formulas, shapes and errors.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from .data.batches import Batches
from .data.digits import load_digits
from .data.idx import load_idx
from .data.preprocessing import Standardize, one_hot, pad_sequences
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
from .later import attribute as __getattr__  # noqa: F401
from .later import names as __dir__  # noqa: F401
from .layer import Buffer, Layer, Parameter
from .layers.activations import (
    ELU,
    GELU,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from .layers.attention import MultiHeadAttention
from .layers.batch_norm import BatchNorm
from .layers.branches import Concatenate, Parallel
from .layers.containers import Residual, Sequential
from .layers.convolution import Conv1d, Conv2d, ConvTranspose2d
from .layers.cross_attention import CrossAttention
from .layers.dropout import Dropout
from .layers.linear import Embedding, Linear, PositionalEmbedding
from .layers.normalization import GroupNorm, LayerNorm, RMSNorm
from .layers.padded import Padded
from .layers.pooling import AvgPool2d, GlobalAveragePool, MaxPool2d
from .layers.recurrent import GRU, LSTM, RNN
from .layers.resize import Upsample2d
from .layers.shape import Flatten, LastStep, Reshape
from .layers.softmax import LogSoftmax, Softmax
from .losses.classification import MulticlassHinge, SoftmaxCrossEntropy
from .losses.elementwise import BinaryCrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from .losses.loss import Loss
from .metrics import accuracy, classification_report, confusion_matrix, r2_score, top_k_accuracy
from .optimizers.first_order import SGD, Adagrad, Adam, AdamW, RMSprop
from .optimizers.lbfgs import LBFGS
from .optimizers.optimizer import Optimizer
from .optimizers.schedules import cosine_decay, exponential_decay, linear_decay, linear_warmup, one_cycle, step_decay
from .parameter import SparseParameter
from .random import generator, seed
from .training.evaluate import evaluate
from .training.fit import fit
from .training.history import History
from .training.predict import predict

if _TYPE_CHECKING:  # imported when they are used: later.py
    from .insight.check_layer import check_layer
    from .insight.diagnose import diagnose
    from .insight.summary import summary

__version__ = "0.1.0"

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
    "CrossAttention",
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
    "Padded",
    "Parallel",
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
    "SparseParameter",
    "Standardize",
    "Tanh",
    "Upsample2d",
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
    "pad_sequences",
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
