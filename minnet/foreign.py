"""Names and keywords that people bring along from other frameworks, and what to write instead of each."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from opcode import opmap
from typing import NoReturn


def _by_word(advice: dict[str, str]) -> dict[str, str]:
    return {word: text for text, words in advice.items() for word in words.split()}


NAMES = _by_word(
    {
        "use Linear(in_features, out_features)": "Dense",
        "use Conv1d(in_channels, out_channels, kernel_size)": "Conv1D",
        "use Conv2d(in_channels, out_channels, kernel_size)": "Conv2D",
        "use ConvTranspose2d(in_channels, out_channels, kernel_size)": "Conv2DTranspose",
        "use MaxPool2d(kernel_size)": "MaxPooling2D MaxPool2D",
        "use AvgPool2d(kernel_size)": "AveragePooling2D AvgPool2D",
        "use Upsample2d(scale)": "UpSampling2D Upsample",
        "use GlobalAveragePool()": "GlobalAveragePooling1D GlobalAveragePooling2D AdaptiveAvgPool1d AdaptiveAvgPool2d",
        "use BatchNorm(features), for any rank of x": "BatchNorm1d BatchNorm2d BatchNorm3d BatchNormalization",
        "use LayerNorm(features)": "LayerNormalization",
        "use GroupNorm(groups, features)": "GroupNormalization",
        "use SiLU()": "Swish",
        "put the layer there, ReLU() for example": "Activation",
        "use RNN(in_features, hidden_features)": "SimpleRNN",
        "use MultiHeadAttention(features, heads)": "MultiheadAttention",
        "put two recurrent layers into a Concatenate(), one of them with reverse=True": "Bidirectional",
        "use Sequential(), which without layers gives back its input": "Identity",
        "use SoftmaxCrossEntropy(), which takes scores": (
            "CrossEntropyLoss CategoricalCrossentropy SparseCategoricalCrossentropy"
        ),
        "use SoftmaxCrossEntropy(), with no LogSoftmax() in front": "NLLLoss",
        "use BinaryCrossEntropy(), which takes scores": "BCEWithLogitsLoss BinaryCrossentropy",
        "use BinaryCrossEntropy(), with no Sigmoid() in front": "BCELoss",
        "use MeanSquaredError()": "MSELoss",
        "use MeanAbsoluteError()": "L1Loss",
        "use Huber(delta)": "HuberLoss SmoothL1Loss",
        "use MulticlassHinge(margin)": "MultiMarginLoss CategoricalHinge",
        "derive from Layer": "Module",
        "use Sequential(), or derive from Layer": "Model",
        "assign a list of layers to an attribute": "ModuleList",
        "assign a dict of layers to an attribute": "ModuleDict",
        "all names are in minnet itself": "nn optim functional",
        "use NumPy arrays": "Tensor tensor from_numpy",
        "use Batches(x, y, batch_size)": "DataLoader Dataset TensorDataset",
        "use one_hot(y, classes)": "to_categorical",
        "use pad_sequences(sequences)": "pad_sequence",
        "use Padded(), whose x is a tuple of x and lengths": "pack_padded_sequence pack_sequence Masking",
        "use Standardize()": "StandardScaler Normalization",
        "use RMSprop(parameters, lr)": "RMSProp",
        "use Adam(parameters, lr) or AdamW(parameters, lr)": "Adamax NAdam Nadam RAdam Adadelta",
        "use step_decay(lr, every)": "StepLR",
        "use exponential_decay(lr, rate)": "ExponentialLR ExponentialDecay",
        "use cosine_decay(lr, steps)": "CosineAnnealingLR CosineDecay",
        "use one_cycle(lr, steps)": "OneCycleLR",
        "give the optimizer a function of the step as lr": "LambdaLR",
        "lower optimizer.lr in on_epoch_end of fit": "ReduceLROnPlateau",
        "give fit a validation and patience": "EarlyStopping",
        "give fit a checkpoint": "ModelCheckpoint",
        "give the optimizer a clip_norm": "clip_grad_norm_",
        "leave it out: gradients are computed by backward alone": "no_grad",
        "use seed(n)": "manual_seed set_random_seed",
        "use save(model, path)": "save_model",
        "make the model, then call load(model, path)": "load_model",
        "use glorot_uniform(shape)": "xavier_uniform xavier_uniform_",
        "use glorot_normal(shape)": "xavier_normal xavier_normal_",
        "use he_uniform(shape)": "kaiming_uniform kaiming_uniform_",
        "use he_normal(shape)": "kaiming_normal kaiming_normal_",
        "use accuracy(y_true, y_pred)": "accuracy_score",
    }
)

RENAMED = _by_word(
    {
        "in_features": "input_size",
        "hidden_features": "hidden_size",
        "hidden_features out_features": "units",
        "out_channels": "filters",
        "kernel_size": "pool_size",
        "stride": "strides",
        "dilation": "dilation_rate",
        "bias": "use_bias",
        "p": "rate",
        "features": "num_features num_channels normalized_shape num_parameters embed_dim embedding_dim output_dim",
        "num_embeddings in_features": "input_dim",
        "groups": "num_groups",
        "heads": "num_heads",
        "eps": "epsilon",
        "rng": "seed generator",
        "parameters": "params",
        "lr": "learning_rate",
        "betas": "beta_1 beta_2",
        "alpha": "rho",
        "scale": "scale_factor",
        "mode": "interpolation",
        "clip_norm": "clipnorm global_clipnorm",
    }
)

KEYWORDS = _by_word(
    {
        "put ReLU() or another activation after it": "activation nonlinearity",
        "put several into a Sequential": "num_layers",
        "put it and another one with reverse=True into a Concatenate()": "bidirectional",
        "leave it out: the batch is the first axis": "batch_first",
        "leave it out: the channels are the last axis": "data_format",
        "leave it out: it is the last axis": "dim axis",
        "leave it out: it returns all states, of which LastStep() keeps the last": "return_sequences",
        "put Dropout(p) after it": "dropout",
        "leave it out: NumPy computes on the CPU": "device",
        "call .astype(np.float64) afterwards": "dtype",
        "leave it out: corners are not aligned": "align_corners",
        "put it into Padded(), whose x is a tuple of x and lengths": "mask_zero",
        "leave it out: a layer writes into nothing that it was handed": "inplace",
        "leave it out, and give the sizes of what it takes": "input_shape",
        "set it afterwards: layer.W.data[...] = he_normal(layer.W.data.shape)": "kernel_initializer",
        "give the optimizer a weight_decay": "kernel_regularizer",
        "leave it out: a loss is a mean": "reduction",
        "leave it out: it takes scores, not probabilities": "from_logits",
        "leave it out: a step goes downhill; multiply the loss by -1": "maximize",
        "leave it out: updates are array operations over all parameters": "foreach fused",
    }
)


def missing(name: str) -> NoReturn:
    """Raise what Python does for a name that minnet does not have, with advice for a known one.

    It is called by the __getattr__ of minnet.
    """
    if name not in NAMES:
        raise AttributeError(f"module 'minnet' has no attribute {name!r}")
    text = f"minnet has no {name}; {NAMES[name]}"
    caller = sys._getframe(2)
    if caller.f_code.co_code[caller.f_lasti] == opmap["IMPORT_FROM"]:  # which drops an AttributeError and its text
        raise ImportError(text, name="minnet")
    raise AttributeError(text)


def expect_own_keywords(kind: type, keywords: Iterable[str]) -> None:
    """Raise TypeError, with what to write instead, for a keyword of another framework's that a class does not take."""
    for word in keywords:
        if word in RENAMED or word in KEYWORDS:
            own = inspect.signature(kind.__init__).parameters  # type: ignore[misc]
            if word in own or any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
                continue
            advice = [f"write {name}" for name in RENAMED.get(word, "").split() if name in own]
            if advice or word in KEYWORDS:
                raise TypeError(f"{kind.__name__}: takes no {word}; {(advice or [KEYWORDS[word]])[0]}")
