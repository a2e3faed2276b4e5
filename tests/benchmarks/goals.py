"""The table: every race, and what it is to show. Times are of a training step unless the title says otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from activations import ACTIVATIONS
from classifiers import classifier_race
from embeddings import embedding_race
from growth import BATCHES, WIDTHS, batch_race, never_more, width_race
from harness import Goal, Race
from inference import inference_race
from layers import LAYERS, layer_race
from memory import growth_race, memory_race
from nets import NETS
from norms import NORMS
from optimizers import ARRAYS, KINDS, optimizer_race, optimum_race
from processes import cold_memory_race, cold_start_race, import_race
from softmax_regression import digits_race, step_race
from training import net_race


@dataclass(frozen=True)
class Row:
    """make: the race.  goals: what it is to show.  quick: whether it is part of a quick run."""

    make: Callable[[], Race]
    goals: tuple[Goal, ...] = ()
    quick: bool = True


def row(make: Callable[..., Race], *arguments: object, goals: dict[str, float], subject: str = "minnet") -> Row:
    """goals: the most that minnet's figure may be, as a multiple of another's."""
    named = tuple(Goal(other, limit, subject) for other, limit in goals.items())
    return Row(partial(make, *arguments), named)


def net(name: str, **goals: float) -> dict[str, Row]:
    return {name: row(net_race, name, NETS[name], goals=goals)}


def layer(name: str, **goals: float) -> dict[str, Row]:
    return {name: row(layer_race, name, (LAYERS | ACTIVATIONS | NORMS)[name], goals=goals)}


STEP = {"NumPy": 1.10, "PyTorch": 0.20, "JAX jit": 1.00}
DIGITS = {"NumPy": 1.05, "PyTorch DataLoader": 0.10, "PyTorch": 0.12}
BATCH_NORM_IMAGES = partial(layer_race, "batch-norm-images", NORMS["batch-norm-images"])

GROWTH = {f"growth-{name}": row(growth_race, name, goals={"PyTorch": 0.60}) for name in ("lenet", "residual")}
if sys.platform != "linux":  # which alone tells a process its peak since a moment of its choice
    GROWTH = {}

ROWS = {
    "step-1": row(step_race, "step-1", 1, 64, 1024, goals=STEP),
    "step-32": row(step_race, "step-32", 32, 64, 256, goals=STEP),
    "step-128": row(step_race, "step-128", 128, 64, 64, goals=STEP),
    "digits": row(digits_race, goals=DIGITS, subject="minnet fit"),
    "step-256": row(step_race, "step-256", 256, 3072, 16, True, goals={"NumPy": 1.10, "PyTorch": 0.70}),
    **net("small", NumPy=1.15, PyTorch=0.25),
    **net("perceptron", NumPy=1.10, PyTorch=0.90),
    **net("large", NumPy=1.10, PyTorch=1.00),
    **net("regularised", PyTorch=1.00),
    **net("lenet", PyTorch=0.75),
    **net("residual", PyTorch=1.00),
    **net("transformer", PyTorch=0.80),
    "embedding-sgd": row(embedding_race, "SGD", goals={"PyTorch": 1.00}),
    "embedding-adam": row(embedding_race, "Adam", goals={"PyTorch": 1.00}),
    **layer("convolution", PyTorch=1.00),
    **layer("lstm", PyTorch=0.90),
    **layer("lstm-long", PyTorch=3.00),
    **layer("gru", PyTorch=1.20),
    **layer("attention", PyTorch=1.00),
    **layer("gelu", PyTorch=2.00),
    **layer("gelu-tanh", PyTorch=1.50),
    **layer("leaky-relu", PyTorch=1.50),
    **layer("elu", PyTorch=1.50),
    **layer("silu", PyTorch=1.50),
    **layer("softplus", PyTorch=1.50),
    **layer("layer-norm", PyTorch=1.30),
    **layer("group-norm", PyTorch=1.30),
    **layer("rms-norm", PyTorch=1.30),
    **layer("batch-norm-32", NumPy=1.05),
    **layer("batch-norm-128", NumPy=1.05),
    **layer("batch-norm-256", NumPy=1.05),
    "inference": Row(inference_race, (Goal("NumPy", 1.10), Goal("NumPy", 1.80, "minnet predict"))),
    "cold-start": row(cold_start_race, goals={"PyTorch": 0.25}),
    "cold-memory": row(cold_memory_race, goals={"PyTorch": 0.35}),
    "classifier": row(classifier_race, goals={"scikit-learn": 0.50}, subject="minnet fit"),
    "memory-large": row(memory_race, "large", goals={"the formulas": 1.30}),
    "memory-lenet": row(memory_race, "lenet", goals={"the formulas": 1.30}),
    **GROWTH,
    "batch-small": Row(partial(batch_race, "batch-small", 64, 10), never_more(BATCHES, "batch")),
    "batch": Row(partial(batch_race, "batch", 784, 256, 128, 10), never_more(BATCHES, "batch")),
    "width": Row(width_race, never_more(WIDTHS, "width")),
    "batch-norm-images": Row(BATCH_NORM_IMAGES, quick=False),
    **{f"{kind}-{n}".lower(): Row(partial(optimizer_race, kind, n), quick=False) for kind in KINDS for n in ARRAYS},
    "optimum": Row(optimum_race, quick=False),
    "import": Row(import_race),
}
