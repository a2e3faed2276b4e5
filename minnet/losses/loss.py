"""What a loss is: the last layer of a model. With a target it gives the loss, without one the prediction.

All are means: the sum over the samples, each with its effective weight, divided by the sum of those weights; or, with
mean_over="samples", by their number, so that weights count in a batch of one as well.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import described, real_array
from ..layer import Layer


class Loss(Layer):
    """The base class of losses, including your own: a layer whose forward also takes a target and returns a float.

    `forward(scores, target=None, sample_weight=None)` returns the loss, or without a target the prediction;
    `backward(dloss=1.0)` returns dscores, where dloss is what the loss is multiplied by afterwards.
    Set `takes_scores = True` on a loss that contains a softmax or a sigmoid, so that Sequential refuses one before it.
    Of the last batch, `total_weight()` returns what its sum was divided by, the sum of its weights or the number of its
    targets, so that evaluate can average over batches, by rows if it is None. `count_correct()` returns (correct,
    counted) for the accuracy, None if nothing is classified: how many predictions were right, and of how many targets
    that are not ignored, or the sums of their sample weights if there are any. Class weights do not count in it, as in
    scikit-learn.

    >>> import numpy as np
    >>> from minnet import Loss, check_layer
    >>> class Poisson(Loss):  # of counts with the expected values exp(scores)
    ...     def forward(self, scores, target=None):
    ...         rate = np.exp(scores)
    ...         self.cache = rate, target
    ...         return rate if target is None else float(np.mean(rate - target * scores))
    ...
    ...     def backward(self, dloss=1.0):
    ...         rate, target = self.cache
    ...         return (rate - target) * (dloss / rate.size)
    >>> report = check_layer(Poisson(), np.array([[0.5, -1.0]]), np.array([[2.0, 0.0]]))
    >>> print(str(report).splitlines()[0])
    Poisson(): the gradients are right and the contract holds
    """

    stepwise = True
    is_loss = True


def checked_mean_over(owner: str, mean_over: str) -> str:
    """mean_over. Raises ValueError if it is neither of the two words."""
    if not isinstance(mean_over, str) or mean_over not in ("weights", "samples"):
        raise ValueError(f"{owner}: expected mean_over to be 'weights' or 'samples', got {described(mean_over)}")
    return mean_over


def reshaping(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """How a target that lacks the last axis, or has one too many, gets the expected shape: the end of an error."""
    if (*got, 1) == expected:
        return f"; pass y[{':' if len(got) == 1 else '...'}, None]"
    return f"; pass y[{':' if len(got) == 2 else '...'}, 0]" if got == (*expected, 1) else ""


def weight_of(which: Array, s: Array | None) -> float:
    """How many are True, as an int, or the sum of their sample weights s."""
    return int(np.count_nonzero(which)) if s is None else float((which * s).sum())


def class_weights(owner: str, weight: ArrayLike) -> Array:
    """A weight for each class, as float64."""
    w = real_array(owner, weight).astype(np.float64)
    if w.ndim != 1 or not (np.isfinite(w) & (w >= 0)).all():
        raise ValueError(f"{owner}: expected a finite number of at least 0 for each class, got {weight!r}")
    return w


def position_weights(loss: Loss, sample_weight: ArrayLike, shape: tuple[int, ...]) -> Array:
    """sample_weight, of one weight per sample or per position, as float64 and broadcast to shape."""
    s = real_array(f"{loss!r}: sample_weight", sample_weight).astype(np.float64)
    if s.shape != shape[: s.ndim] or (s.ndim == 0 and shape):
        expected = f"{shape[:1]} or {shape}" if shape[1:] else f"{shape}"
        raise ValueError(f"{loss!r}: expected sample_weight of shape {expected}, got {s.shape}")
    if not (np.isfinite(s) & (s >= 0)).all():
        raise ValueError(f"{loss!r}: expected every sample_weight to be finite and at least 0")
    return np.broadcast_to(s.reshape(s.shape + (1,) * (len(shape) - s.ndim)), shape)
