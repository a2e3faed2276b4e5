"""The table: every race, and what it is to show. Times are of a training step unless the title says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from classifiers import classifier_race
from growth import BATCHES, WIDTHS, batch_race, never_more, width_race
from harness import Goal, Race
from inference import inference_race
from layers import layer_race
from memory import memory_race
from nets import net_race
from optimizers import ARRAYS, KINDS, optimizer_race, optimum_race
from processes import cold_memory_race, cold_start_race, import_race
from softmax_regression import digits_race, step_race


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


STEP = {"NumPy": 1.10, "PyTorch": 0.20}

ROWS = {
    "step-1": row(step_race, "step-1", 1, 64, 1024, goals=STEP),
    "step-32": row(step_race, "step-32", 32, 64, 256, goals=STEP),
    "step-128": row(step_race, "step-128", 128, 64, 64, goals=STEP),
    "digits": row(
        digits_race, goals={"NumPy": 1.15, "PyTorch DataLoader": 0.10, "PyTorch": 0.15}, subject="minnet fit"
    ),
    "step-256": row(step_race, "step-256", 256, 3072, 16, goals={"NumPy": 1.10, "PyTorch": 0.70}),
    "small": row(net_race, "small", goals={"NumPy": 1.15, "PyTorch": 0.25}),
    "perceptron": row(net_race, "perceptron", goals={"NumPy": 1.10, "PyTorch": 0.90}),
    "large": row(net_race, "large", goals={"NumPy": 1.10, "PyTorch": 1.00}),
    "regularised": row(net_race, "regularised", goals={"PyTorch": 1.00}),
    "lenet": row(net_race, "lenet", goals={"PyTorch": 1.00}),
    "convolution": row(layer_race, "convolution", goals={"PyTorch": 1.20}),
    "lstm": row(layer_race, "lstm", goals={"PyTorch": 1.20}),
    "gru": row(layer_race, "gru", goals={"PyTorch": 1.20}),
    "attention": row(layer_race, "attention", goals={"PyTorch": 1.00}),
    "inference": row(inference_race, goals={"PyTorch inference_mode": 0.25, "PyTorch no_grad": 0.25}),
    "cold-start": row(cold_start_race, goals={"PyTorch": 0.25}),
    "cold-memory": row(cold_memory_race, goals={"PyTorch": 0.35}),
    "classifier": row(classifier_race, goals={"scikit-learn": 0.50}, subject="minnet fit"),
    "memory-large": row(memory_race, "large", goals={"the formulas": 1.30}),
    "memory-lenet": row(memory_race, "lenet", goals={"the formulas": 1.30}),
    "batch-small": Row(partial(batch_race, "batch-small", 64, 10), never_more(BATCHES, "batch")),
    "batch": Row(partial(batch_race, "batch", 784, 256, 128, 10), never_more(BATCHES, "batch")),
    "width": Row(width_race, never_more(WIDTHS, "width")),
    "batch-norm": Row(partial(layer_race, "batch-norm"), quick=False),
    **{f"{kind}-{n}".lower(): Row(partial(optimizer_race, kind, n), quick=False) for kind in KINDS for n in ARRAYS},
    "optimum": Row(optimum_race, quick=False),
    "import": Row(import_race),
}
