import copy
import math
import re

import numpy as np
import pytest

from minnet import (
    GELU,
    BatchNorm,
    Buffer,
    Flatten,
    Layer,
    LayerCheckError,
    LayerNorm,
    Linear,
    LogSoftmax,
    Loss,
    MeanSquaredError,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
    check_layer,
    generator,
)

MODULE_GENERATOR = np.random.default_rng(0)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def probabilities(*shape, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), shape[:-1])


# Correct layers, which stand in the table of those that must not be accused. Each faulty one below differs from one of
# them in one place.


class Scale(Layer):
    def __init__(self, features):
        self.g = Parameter(np.ones(features))

    def forward(self, x):
        self.cache = x
        return x * self.g.data

    def backward(self, dy):
        x = self.cache
        self.g.grad += (dy * x).reshape(-1, x.shape[-1]).sum(axis=0)
        return dy * self.g.data


class Affine(Layer):
    def __init__(self, inputs, outputs):
        self.W = Parameter(normal(inputs, outputs, seed=1))
        self.b = Parameter(np.zeros(outputs))

    def forward(self, x):
        self.cache = x
        return x @ self.W.data + self.b.data

    def backward(self, dy):
        x = self.cache
        rows, dy_rows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
        self.W.grad += rows.T @ dy_rows
        self.b.grad += dy_rows.sum(axis=0)
        return dy @ self.W.data.T


class Standardise(Layer):
    """(x − mean) / std over the last axis."""

    def forward(self, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        r = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        self.cache = h, r = centred * r, r
        return h.copy()

    def backward(self, dy):
        h, r = self.cache
        return r * (dy - dy.mean(axis=-1, keepdims=True) - h * (dy * h).mean(axis=-1, keepdims=True))


class Drop(Layer):
    def __init__(self, p=0.5, rng=None):
        self.p = p
        self.rng = generator(rng)

    def forward(self, x):
        keep = self.rng.random(x.shape) >= self.p if self.training else np.ones(x.shape, bool)
        self.cache = mask = keep.astype(x.dtype) / (1 - self.p if self.training else 1)
        return x * mask

    def backward(self, dy):
        return dy * self.cache


class Normalise(Layer):
    """Batch normalisation of rows, without gamma and beta."""

    def __init__(self, features):
        self.running_mean = Buffer(np.zeros(features))
        self.running_var = Buffer(np.ones(features))

    def statistics(self, x):
        if not self.training:
            return self.running_mean.data, self.running_var.data
        mean, var = x.mean(axis=0), x.var(axis=0)
        self.running_mean.data += 0.1 * (mean - self.running_mean.data)
        self.running_var.data += 0.1 * (var - self.running_var.data)
        return mean, var

    def forward(self, x):
        mean, var = self.statistics(x)
        r = 1 / np.sqrt(var + 1e-5)
        self.cache = (x - mean) * r, r
        return (x - mean) * r

    def backward(self, dy):
        return self.of_batch(dy) if self.training else self.of_running(dy)

    def of_batch(self, dy):
        h, r = self.cache
        return r * (dy - dy.mean(axis=0) - h * (dy * h).mean(axis=0))

    def of_running(self, dy):
        return dy * self.cache[1]


class Leaky(Layer):
    """x where x > 0, else a x, with a trained a for each feature."""

    def __init__(self, features=1):
        self.a = Parameter(np.full(features, 0.25))

    def forward(self, x):
        self.cache = x
        return np.where(x > 0, x, self.a.data * x)

    def backward(self, dy):
        x, a = self.cache, self.a.data
        da = (dy * np.minimum(x, 0)).reshape(-1, x.shape[-1]).sum(axis=0)
        self.a.grad += da if a.size > 1 else da.sum()
        return dy * np.where(x > 0, 1, a).astype(x.dtype)


class Largest(Layer):
    """The maximum over the last axis; a tie gives its gradient to the first."""

    def forward(self, x):
        self.cache = x.shape, x.argmax(axis=-1)[..., None]
        return np.take_along_axis(x, self.cache[1], axis=-1)[..., 0]

    def backward(self, dy):
        shape, first = self.cache
        dx = np.zeros(shape, dy.dtype)
        np.put_along_axis(dx, first, dy[..., None], axis=-1)
        return dx


class Table(Layer):
    """Rows of W by integer ids."""

    def __init__(self, rows, features):
        self.W = Parameter(normal(rows, features, seed=2))

    def forward(self, ids):
        self.cache = ids
        return self.W.data[ids]

    def backward(self, dy):
        np.add.at(self.W.grad, self.cache, dy)


class Both(Layer):
    """A container of one's own: the sum of what a list of layers makes of x."""

    def __init__(self, *layers):
        self.branches = list(layers)

    def forward(self, x):
        return sum(layer(x) for layer in self.branches)

    def backward(self, dy):
        return sum(layer.backward(dy) for layer in self.branches)


class Twice(Layer):
    """Two layers that share one Parameter."""

    def __init__(self, features):
        self.first, self.second = Scale(features), Scale(features)
        self.second.g = self.first.g

    def forward(self, x):
        return self.second(self.first(x))

    def backward(self, dy):
        return self.first.backward(self.second.backward(dy))


class Squares(Loss):
    """A loss of one's own, Σ w (y − t)² / N, with a weight for each column."""

    def __init__(self, w):
        self.w = np.asarray(w, np.float32)

    def forward(self, y, target=None):
        if target is None:
            return y
        self.cache = y, target
        return float((self.w * (y - target) ** 2).sum() / len(y))

    def backward(self, dloss=1.0):
        y, target = self.cache
        return (2 * dloss / len(y)) * self.w * (y - target)


class WeightedCrossEntropy(Loss):
    """Σ w[label] · −log p[label] / N: each row counts as its label does."""

    def __init__(self, w):
        self.w = np.asarray(w, np.float32)

    def forward(self, scores, target=None):
        if target is None:
            return scores
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        self.cache = p, y = e / e.sum(axis=1, keepdims=True), target
        return float(-(self.w[y] * np.log(p[np.arange(len(y)), y])).sum() / len(y))

    def backward(self, dloss=1.0):
        p, y = self.cache
        return self.weights(y) * (p - np.eye(p.shape[1], dtype=p.dtype)[y]) * (dloss / len(y))

    def weights(self, y):
        return self.w[y][:, None]


class Pointwise(Layer):
    """A function of each entry, with its derivative."""

    def __init__(self, f, derivative):
        self.f, self.derivative = f, derivative

    def forward(self, x):
        self.cache = x
        return self.f(x)

    def backward(self, dy):
        return dy * self.derivative(self.cache)


class Tempered(Layer):
    """softmax(x / T)."""

    def __init__(self, T):
        self.T = T

    def forward(self, x):
        e = np.exp((x - x.max(axis=-1, keepdims=True)) / self.T)
        self.cache = p = e / e.sum(axis=-1, keepdims=True)
        return p.copy()

    def backward(self, dy):
        p = self.cache
        return p * (dy - (dy * p).sum(axis=-1, keepdims=True)) / self.T


# Faults, one a class.


class ScaleSignOfDx(Scale):
    def backward(self, dy):
        return -super().backward(dy)


class ScaleSignOfDg(Scale):
    def backward(self, dy):
        self.g.grad -= (dy * self.cache).sum(axis=0)
        return dy * self.g.data


class AffineWForItsTranspose(Affine):
    def backward(self, dy):
        super().backward(dy)
        return dy @ self.W.data


class AffineTransposeOfDW(Affine):
    def backward(self, dy):
        self.W.grad += dy.T @ self.cache
        self.b.grad += dy.sum(axis=0)
        return dy @ self.W.data.T


class StandardiseWithoutTheMeanTerm(Standardise):
    def backward(self, dy):
        h, r = self.cache
        return r * (dy - h * (dy * h).mean(axis=-1, keepdims=True))


class StandardiseWithoutTheVarianceTerm(Standardise):
    def backward(self, dy):
        _, r = self.cache
        return r * (dy - dy.mean(axis=-1, keepdims=True))


class SoftmaxDiagonal(Softmax):
    def backward(self, dy):
        p = self.cache
        return dy * p * (1 - p)


class SoftmaxAsTheIdentity(Softmax):
    def backward(self, dy):
        return dy.copy()


class AffineOfTheFirstPositionsOnly(Affine):
    def backward(self, dy):
        self.W.grad += self.cache[:, 0].T @ dy[:, 0]
        self.b.grad += dy.sum(axis=(0, 1))
        return dy @ self.W.data.T


class AffineSumOverOneAxis(Affine):
    def backward(self, dy):
        super().backward(dy)
        self.b.grad = dy.sum(axis=0)
        return dy @ self.W.data.T


class ScaleSumOverOneAxisInPlace(Scale):
    def backward(self, dy):
        self.g.grad += (dy * self.cache).sum(axis=0)
        return dy * self.g.data


class ScaleAssigns(Scale):
    def backward(self, dy):
        self.g.grad = (dy * self.cache).sum(axis=0)
        return dy * self.g.data


class ScaleAssignsInPlace(Scale):
    def backward(self, dy):
        self.g.grad[...] = (dy * self.cache).sum(axis=0)
        return dy * self.g.data


class ScaleAddsTwiceTheSecondTime(Scale):
    def backward(self, dy):
        self.g.grad += self.g.grad + (dy * self.cache).sum(axis=0)
        return dy * self.g.data


class ScaleWritesIntoDy(Scale):
    def backward(self, dy):
        self.g.grad += (dy * self.cache).sum(axis=0)
        dy *= self.g.data
        return dy


class ScaleForwardWritesIntoX(Scale):
    def forward(self, x):
        self.cache = x.copy()
        x *= self.g.data
        return x


class ScaleUnlocksX(Scale):
    def forward(self, x):
        x.flags.writeable = True
        return ScaleForwardWritesIntoX.forward(self, x)


class SoftmaxShiftsX(Softmax):
    """What a constant is added to has the same softmax."""

    def forward(self, x):
        x -= x.max(axis=-1, keepdims=True).round()
        return super().forward(x)


class SoftmaxShiftsXAndBack(Softmax):
    def forward(self, x):
        x *= 2.0
        y = super().forward(x / 2)
        x /= 2
        return y


class ScaleNegatesDyAndBack(Scale):
    def backward(self, dy):
        np.negative(dy, out=dy)
        dx = super().backward(-dy)
        np.negative(dy, out=dy)
        return dx


class ScaleBackwardWritesIntoX(Scale):
    def backward(self, dy):
        x = self.cache
        dx = dy * self.g.data
        x *= dy
        self.g.grad += x.sum(axis=0)
        return dx


class SoftmaxBackwardWritesIntoY(Softmax):
    def backward(self, dy):
        p = self.cache
        dx = p * (dy - (dy * p).sum(axis=-1, keepdims=True))
        p *= 0
        return dx


class SquaresWritesIntoTheTarget(Squares):
    def forward(self, y, target=None):
        loss = super().forward(y, target.copy())
        target -= y
        return loss


class ScaleKeepsTheFirstX(Scale):
    def forward(self, x):
        if "cache" not in vars(self):
            self.cache = x
        return x * self.g.data


class ReLUKeepsTheFirstMask(ReLU):
    def forward(self, x):
        if "cache" not in vars(self):
            self.cache = x > 0
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * self.cache


class Float64InABuffer(Layer):
    """A table that a Buffer would have made float32 of."""

    def __init__(self):
        self.t = Buffer(np.zeros(4))
        self.t.data = np.linspace(0, 1, 4)

    def forward(self, x):
        return x + self.t.data

    def backward(self, dy):
        return dy.copy()


class Float64BesideFloat32(Scale):
    def __init__(self, features):
        super().__init__(features)
        self.t = Buffer(np.zeros(4))
        self.t.data = np.linspace(0, 1, 4)


class MakesItsBufferFloat64(Scale):
    def __init__(self, features):
        super().__init__(features)
        self.mean = Buffer(np.zeros(features))

    def forward(self, x):
        if self.training:
            self.mean.data = 0.9 * self.mean.data + 0.1 * x.mean(axis=0, dtype=np.float64)
        return super().forward(x)


class Gain(Layer):
    """A learned number: what `self.g.grad + ...` gives is a NumPy scalar."""

    def __init__(self, factor=1):
        self.g, self.factor = Parameter(1.0), factor

    def forward(self, x):
        self.cache = x
        return x * self.g.data

    def backward(self, dy):
        self.g.grad = self.g.grad + self.factor * (dy * self.cache).sum()
        return dy * self.g.data


class StateThatLeaks(Layer):
    def __init__(self):
        self.h = 0.0

    def forward(self, x):
        self.h = x + 0.5 * self.h
        return self.h.copy()

    def backward(self, dy):
        return dy.copy()


class DropFromALegacyGenerator(Drop):
    def __init__(self):
        self.p, self.rng = 0.5, np.random.RandomState(0)  # which no checkpoint holds either


class DropIgnoresTheMask(Drop):
    def backward(self, dy):
        return dy.copy()


class DropDrawsAnotherMask(Drop):
    def backward(self, dy):
        if not self.training:
            return dy.copy()
        return dy * (self.rng.random(dy.shape) >= self.p) / (1 - self.p)


class DropForgetsTheScaleInBackward(Drop):
    def backward(self, dy):
        return dy * (self.cache > 0)


class DropMasksBackwardInEvaluation(Drop):
    def backward(self, dy):
        if self.training:
            return super().backward(dy)
        return dy * (np.arange(dy.size) % 2).reshape(dy.shape)


class DropInEvaluation(Drop):
    def forward(self, x):
        self.cache = mask = (self.rng.random(x.shape) >= self.p).astype(x.dtype)
        return x * mask


class DropFromTheModule(Drop):
    def forward(self, x):
        self.cache = mask = (MODULE_GENERATOR.random(x.shape) >= self.p).astype(x.dtype)
        return x * mask


class NormaliseRunningFormulaInTraining(Normalise):
    def backward(self, dy):
        return self.of_running(dy)


class NormaliseBatchFormulaInEvaluation(Normalise):
    def backward(self, dy):
        return self.of_batch(dy)


class NormaliseInPlainArrays(Normalise):
    def __init__(self, features):
        self.mean, self.var = np.zeros(features), np.ones(features)

    def statistics(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
            self.var = 0.9 * self.var + 0.1 * x.var(axis=0)
            return x.mean(axis=0), x.var(axis=0)
        return self.mean.astype(x.dtype), self.var.astype(x.dtype)


class NormaliseMovesInEvaluation(Normalise):
    def statistics(self, x):
        mean, var = self.running_mean.data.copy(), self.running_var.data.copy()
        if self.training:
            return super().statistics(x)
        self.running_mean.data += 0.1 * (x.mean(axis=0) - mean)
        return mean, var


class ScaleNormsItsParameter(Scale):
    def forward(self, x):
        self.g.data /= np.linalg.norm(self.g.data)
        return super().forward(x)


class Counts(Scale):
    """A count of forwards, which NumPy makes a scalar at the first."""

    def __init__(self, features):
        super().__init__(features)
        self.count = Buffer(0)

    def forward(self, x):
        if self.training:
            self.count.data = self.count.data + 1
        return super().forward(x)


class Remembers(Scale):
    """Nothing is computed twice for the very array of the forward before."""

    def __init__(self, features):
        super().__init__(features)
        self.before = None

    def forward(self, x):
        if self.before is None or self.before[0] is not x or not np.array_equal(self.before[1], self.g.data):
            self.before = x, self.g.data.copy(), super().forward(x)
        self.cache = x
        return self.before[2].copy()


class CountsInEvaluation(Scale):
    def __init__(self, features):
        super().__init__(features)
        self.count = Buffer(0)

    def forward(self, x):
        self.count.data += 1
        return super().forward(x)


class AffineForgetsB(Affine):
    def backward(self, dy):
        self.W.grad += self.cache.T @ dy
        return dy @ self.W.data.T


class AffineAveragesDb(Affine):
    def backward(self, dy):
        self.W.grad += self.cache.T @ dy
        self.b.grad += dy.mean(axis=0)
        return dy @ self.W.data.T


class AffineUpdatesItself(Affine):
    def backward(self, dy):
        dx = super().backward(dy)
        self.b.data -= 0.1 * self.b.grad
        return dx


class FlattenForgetsTheShape(Flatten):
    def backward(self, dy):
        return dy.copy()


class ScaleReturnsNothing(Scale):
    def backward(self, dy):
        super().backward(dy)


class TableReturnsDx(Table):
    def backward(self, dy):
        super().backward(dy)
        return dy.sum(axis=-1)


class TableLosesRepeatedIds(Table):
    def backward(self, dy):
        self.W.grad[self.cache] += dy


class ScaleGradientOfAnotherShape(Scale):
    def backward(self, dy):
        self.g.grad = self.g.grad + (dy * self.cache).sum(axis=0, keepdims=True)
        return dy * self.g.data


class HalfInFloat64(Layer):
    def forward(self, x):
        return x / np.sqrt(4.0)

    def backward(self, dy):
        return dy / 2


class HalfBackwardInFloat64(Layer):
    def forward(self, x):
        return x / 2

    def backward(self, dy):
        return dy / np.sqrt(4.0)


class HalfInFloat32(Layer):
    def forward(self, x):
        return (x / 2).astype(np.float32)

    def backward(self, dy):
        return dy / 2


class ReadsContiguousX(Scale):
    def forward(self, x):
        x = np.lib.stride_tricks.as_strided(x, x.shape, (x.shape[1] * x.itemsize, x.itemsize))
        return super().forward(x)


class ReadsContiguousDy(Scale):
    def backward(self, dy):
        dy = np.lib.stride_tricks.as_strided(dy, dy.shape, (dy.shape[1] * dy.itemsize, dy.itemsize))
        return super().backward(dy)


class WritesThroughReshape(ReLU):
    """Right while x lies in rows; the gradient of an x that lies in columns is lost in a copy."""

    def forward(self, x):
        self.cache = x
        return np.maximum(x, 0)

    def backward(self, dy):
        dx = np.zeros_like(self.cache)
        positive = np.flatnonzero(self.cache > 0)
        dx.reshape(-1)[positive] = dy.reshape(-1)[positive]
        return dx


class RefusesWhatIsNotContiguous(Scale):
    def forward(self, x):
        if not x.flags.c_contiguous:
            raise ValueError("expected rows that lie one after the other")
        return super().forward(x)


class WeightsOnColumns(WeightedCrossEntropy):
    def weights(self, y):
        return self.w


class SquaresNeedsATarget(Squares):
    def forward(self, y, target):
        return super().forward(y, target)


class SquaresForgetsDloss(Squares):
    def backward(self, dloss=1.0):
        return super().backward(1.0)


class SquaresSumsItsGradient(Squares):
    def backward(self, dloss=1.0):
        return super().backward(dloss) * len(self.cache[0])


class CrossEntropyOfAnotherValue(WeightedCrossEntropy):
    def forward(self, scores, target=None):
        super().forward(scores, target)
        return float((super().backward() ** 2).sum())


class TemperedForgetsT(Tempered):
    def backward(self, dy):
        return super().backward(dy) * self.T


class ScaleWithOneWrongEntry(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        dx[7, 11] *= 1.5
        return dx


class ScaleWithOneWrongEntryOfG(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        self.g.grad[123] += dy[0, 123]
        return dx


class NotANumber(Scale):
    def backward(self, dy):
        return super().backward(dy) * np.nan


class BackwardRaises(Scale):
    def backward(self, dy):
        raise IndexError("too many indices")


class BothForgetsTheSecond(Both):
    def backward(self, dy):
        dx = super().backward(dy)
        self.branches[1].zero_grad()
        return dx


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def elu_slope_without_parentheses(x):
    return x > 0 + np.exp(x) * (x < 0)


def quick_gelu(x):
    return x / (1 + np.exp(-1.702 * x))


def quick_gelu_slope(constant):
    def slope(x):
        s = 1 / (1 + np.exp(-constant * x))
        return s + x * constant * s * (1 - s)

    return slope


def wrong(name):
    return f"wrong gradient of {name} "


def case(layer, *inputs, says):
    return pytest.param(layer, inputs, says, id=f"{type(layer).__name__}-{len(inputs[0])}")


X, X3, Y = normal(5, 4), normal(2, 3, 4), np.array([0, 2, 1, 2, 0])

FAULTS = [
    case(ScaleSignOfDx(4), X, says=wrong("x")),
    case(ScaleSignOfDg(4), X, says=wrong("g")),
    case(AffineWForItsTranspose(4, 4), X, says=wrong("x")),
    case(AffineTransposeOfDW(4, 4), X, says=wrong("W")),
    case(StandardiseWithoutTheMeanTerm(), X, says=wrong("x")),
    case(StandardiseWithoutTheVarianceTerm(), X, says=wrong("x")),
    case(SoftmaxDiagonal(), X, says=wrong("x")),
    case(SoftmaxAsTheIdentity(), X, says=wrong("x")),
    case(AffineOfTheFirstPositionsOnly(4, 3), X3, says=wrong("W")),
    case(AffineSumOverOneAxis(4, 3), X3, says="the gradient of b in its shape (3,), got (3, 3)"),
    case(ScaleSumOverOneAxisInPlace(4), X3, says="backward"),
    case(ScaleAssigns(4), X, says="assigns the gradient of g"),
    case(ScaleAssignsInPlace(4), X, says="assigns the gradient of g"),
    case(ScaleAddsTwiceTheSecondTime(4), X, says="does not double the gradient of g"),
    case(ScaleWritesIntoDy(4), X, says="backward wrote into dy"),
    case(ScaleForwardWritesIntoX(4), X, says="forward wrote into x"),
    case(ScaleUnlocksX(4), X, says="forward wrote into x"),
    case(SoftmaxShiftsX(), X - X.max(axis=1, keepdims=True), says="forward wrote into x: x -= x.max"),
    case(SoftmaxShiftsXAndBack(), X, says="forward wrote into x: x *= 2.0"),
    case(ScaleNegatesDyAndBack(4), X, says="backward wrote into dy: np.negative(dy, out=dy)"),
    case(Float64InABuffer(), X, says="t holds float64"),
    case(Sequential(Linear(4, 4), Float64BesideFloat32(4)), X, says="1.t holds float64"),
    case(MakesItsBufferFloat64(4), X, says="a pass makes float64 of mean"),
    case(Gain(factor=2), X, says=wrong("g")),
    case(ScaleNormsItsParameter(4), X, says="forward wrote into g"),
    case(ScaleBackwardWritesIntoX(4), X, says="backward wrote into x"),
    case(SoftmaxBackwardWritesIntoY(), X, says="backward wrote into the y"),
    case(SquaresWritesIntoTheTarget(np.ones(4)), X, X + 1, says="forward wrote into target"),
    case(ScaleKeepsTheFirstX(4), X, says="gradient of g depends on the pass before"),
    case(ReLUKeepsTheFirstMask(), X, says="gradient of x depends on the pass before"),
    case(StateThatLeaks(), X, says="y depends on the pass before"),
    case(DropIgnoresTheMask(rng=0), X, says=wrong("x")),
    case(DropDrawsAnotherMask(rng=0), X, says="another gradient of x"),
    case(DropForgetsTheScaleInBackward(rng=0), X, says=wrong("x")),
    case(DropMasksBackwardInEvaluation(rng=0), X, says="wrong gradient of x at (0, 0): backward gives 0.00"),
    case(DropInEvaluation(rng=0), X, says="two forwards differ (in evaluation mode)"),
    case(DropFromTheModule(), X, says="two forwards from the same state differ"),
    case(DropFromALegacyGenerator(), X, says="y depends on the pass before"),
    case(NormaliseRunningFormulaInTraining(4), X, says=wrong("x")),
    case(NormaliseBatchFormulaInEvaluation(4), X, says=wrong("x")),
    case(NormaliseInPlainArrays(4), X, says="y is another after a round trip of the state"),
    case(NormaliseMovesInEvaluation(4), X, says="(in evaluation mode)"),
    case(CountsInEvaluation(4), X, says="forward changes count (in evaluation mode)"),
    case(AffineForgetsB(4, 3), X, says=wrong("b")),
    case(AffineAveragesDb(4, 3), X, says=wrong("b")),
    case(AffineUpdatesItself(4, 3), X, says="backward wrote into b"),
    case(FlattenForgetsTheShape(), X3, says="the gradient of x in its shape (2, 3, 4), got (2, 12)"),
    case(ScaleReturnsNothing(4), X, says="the gradient of x in its shape (5, 4), got None"),
    case(TableReturnsDx(3, 4), Y, says="expected backward to return None, since ids is of integers"),
    case(TableLosesRepeatedIds(3, 4), Y, says=wrong("W")),
    case(ScaleGradientOfAnotherShape(4), X, says="the gradient of g in its shape (4,), got (1, 4)"),
    case(HalfInFloat64(), X, says="y is float64"),
    case(HalfBackwardInFloat64(), X, says="the gradient of x is float64"),
    case(HalfInFloat32(), X, says="forward makes float32 of float64"),
    case(ReadsContiguousX(4), X, says="a non-contiguous input gives another y"),
    case(ReadsContiguousDy(4), X, says="another gradient of x"),
    case(WritesThroughReshape(), X, says="a non-contiguous input gives another gradient of x"),
    case(RefusesWhatIsNotContiguous(4), X, says="non-contiguous input"),
    case(WeightsOnColumns([1, 2, 3]), X[:, :3], Y, says=wrong("scores")),
    case(SquaresNeedsATarget(np.ones(4)), X, X + 1, says="expected a loss to take forward(x) and backward()"),
    case(SquaresForgetsDloss(np.ones(4)), X, X + 1, says=wrong("y")),
    case(SquaresSumsItsGradient(np.ones(4)), X, X + 1, says=wrong("y")),
    case(CrossEntropyOfAnotherValue(np.ones(4)), X, Y, says=wrong("scores")),
    case(TemperedForgetsT(2.0), X, says=wrong("x")),
    case(ScaleWithOneWrongEntry(40), normal(30, 40), says=wrong("x")),
    case(ScaleWithOneWrongEntryOfG(20_000), normal(2, 20_000), says=wrong("g")),
    case(NotANumber(4), X, says="gradient of x"),
    case(BackwardRaises(4), X, says="too many indices"),
    case(BothForgetsTheSecond(Scale(4), Scale(4)), X, says=wrong("branches.1.g")),
    case(Sequential(Linear(4, 3, rng=0), ScaleSignOfDg(3), ReLU()), X, says=wrong("1.g")),
    case(Sequential(AffineForgetsB(4, 3), SoftmaxCrossEntropy()), X, Y, says=wrong("0.b")),
    pytest.param(Pointwise(elu, elu_slope_without_parentheses), (X,), wrong("x"), id="elu"),
    pytest.param(Pointwise(quick_gelu, quick_gelu_slope(0.1702)), (X,), wrong("x"), id="gelu"),
    pytest.param(Pointwise(quick_gelu, quick_gelu_slope(1.70201)), (X,), wrong("x"), id="gelu-in-the-fifth-digit"),
]


@pytest.mark.rows("layer, inputs, says", FAULTS)
def test_a_planted_fault_is_caught_and_the_message_names_the_array_and_no_other(layer, inputs, says):
    with pytest.raises(LayerCheckError) as caught:
        check_layer(layer, *inputs)
    assert says in str(caught.value)
    assert " gradient of " not in says or len(set(re.findall(r"gradient of (\S+)", str(caught.value)))) == 1


@pytest.mark.long
@pytest.mark.rows("layer, inputs, says", FAULTS)
def test_a_planted_fault_is_caught_with_any_seed(layer, inputs, says):
    for seed in range(1, 6):
        with pytest.raises(LayerCheckError) as caught:
            check_layer(layer, *inputs, rng=seed)
        assert says in str(caught.value)


def test_every_wrong_array_is_named():
    class Wrong(Affine):
        def backward(self, dy):
            return 2 * super().backward(2 * dy)

    with pytest.raises(LayerCheckError, match=r"wrong gradient of x .*; wrong gradient of W .*; wrong gradient of b "):
        check_layer(Wrong(4, 3), X)


def test_a_fault_of_one_mode_is_reported_for_that_mode():
    with pytest.raises(LayerCheckError, match=r"\(in evaluation mode\)$"):
        check_layer(NormaliseBatchFormulaInEvaluation(4), X)
    with pytest.raises(LayerCheckError) as caught:
        check_layer(NormaliseRunningFormulaInTraining(4), X)
    assert "evaluation" not in str(caught.value)


def test_the_message_gives_the_layer_the_array_the_entry_and_both_values():
    class Wrong(Scale):
        def backward(self, dy):
            dg = (dy * self.cache).sum(axis=0)
            dg[2] /= 3
            self.g.grad += dg
            return dy * self.g.data

    with pytest.raises(LayerCheckError) as caught:
        check_layer(Wrong(4), X)
    number = r"-?\d\.\d+(?:e[+-]\d+)?"
    values = rf"backward gives ({number}), differences give ({number}) \(relative error 6\.7e-01\)"
    form = rf"Wrong\(4\): wrong gradient of g at \(2,\): {values}"
    found = re.fullmatch(form, str(caught.value))
    assert found and float(found[2]) == pytest.approx(3 * float(found[1]), rel=0.02)


def test_the_values_in_the_message_are_derivatives_and_not_scaled_by_the_step():
    class Wrong(Layer):
        """y = 3 x², at x = 2 and an upstream gradient of ±1 or so."""

        def forward(self, x):
            self.cache = x
            return float(3 * x[0] ** 2)

        def backward(self, dy):
            self.dy = dy
            return 5 * dy * self.cache

    with pytest.raises(LayerCheckError) as caught:
        check_layer(Wrong(), np.array([2.0]))
    given, taken = map(float, re.findall(r"gives? (-?[\d.]+)", str(caught.value)))
    assert given / taken == pytest.approx(10 / 12, rel=0.01)
    assert 5 <= abs(given) <= 15


def test_values_that_differ_late_are_shown_with_enough_digits():
    with pytest.raises(LayerCheckError) as caught:
        check_layer(Pointwise(quick_gelu, quick_gelu_slope(1.70201)), X)
    given, taken = re.findall(r"gives? (-?[\d.]+)", str(caught.value))
    assert given != taken


def with_scalars(gain):
    gain.g.data = gain.g.data * 2
    gain.g.grad = gain.g.grad + 1
    return gain


CORRECT = {
    "a learned number": (Gain(), X),
    "a learned number, NumPy's scalar already": (with_scalars(Gain()), X),
    "a frozen layer": (Sequential(Linear(4, 3, rng=0), ReLU()).freeze(), X),
    "a count that becomes a scalar": (Counts(4), X),
    "a result that is kept for the same array": (Remembers(4), X),
    "linear": (Linear(4, 3, rng=0), X),
    "linear without a bias": (Linear(4, 3, bias=False, rng=0), X),
    "linear, of one sample without a batch axis": (Linear(4, 3, rng=0), X[0]),
    "linear, rank 4": (Linear(4, 3, rng=0), normal(2, 3, 2, 4)),
    "linear, float32 input": (Linear(4, 3, rng=0), X.astype(np.float32)),
    "linear, lists for input": (Linear(2, 3, rng=0), [[1.0, 2.0], [3.0, 4.5]]),
    "linear, tiny input": (Linear(4, 3, rng=0), 1e-6 * X),
    "linear, huge input": (Linear(4, 3, rng=0), 1e4 * X),
    "linear, columns of different sizes": (Linear(4, 3, rng=0), X * [1e-6, 1e-2, 1, 1e4]),
    "linear, large": (Linear(60, 40, rng=0), normal(20, 60)),
    "affine, rank 3": (Affine(4, 3), X3),
    "scale": (Scale(4), X),
    "scale, rank 3": (Scale(4), X3),
    "scale of 1": (Scale(1), normal(1, 1)),
    "softmax": (Softmax(), X),
    "softmax, rank 3": (Softmax(), X3),
    "softmax, tiny input": (Softmax(), 1e-6 * X),
    "softmax, huge input": (Softmax(), 1e4 * X),
    "softmax, far from zero": (Softmax(), X + 1e4),
    "softmax, one vector": (Softmax(), X[0]),
    "softmax, one class": (Softmax(), normal(5, 1)),
    "softmax, large": (Softmax(), normal(50, 100)),
    "softmax, saturated": (Softmax(), 20 * X),
    "log softmax": (LogSoftmax(), X3),
    "log softmax, huge input": (LogSoftmax(), 1e4 * X),
    "log softmax, large": (LogSoftmax(), normal(50, 100)),
    "tempered softmax": (Tempered(2.0), X),
    "relu": (ReLU(), X),
    "relu at 0": (ReLU(), np.array([[0.0, 1.0, -1.0], [-2.0, 0.0, 3.0]])),
    "relu of zeros": (ReLU(), np.zeros((3, 4))),
    "relu of ones": (ReLU(), np.ones((3, 4))),
    "relu beside its kink": (
        ReLU(),
        np.concatenate([np.geomspace(1e-9, 1e-4, 50), -np.geomspace(1e-9, 1e-4, 49), [5.0]]),
    ),
    "relu, large": (ReLU(), normal(30, 100)),
    "largest": (Largest(), X),
    "largest of ties": (Largest(), np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])),
    "flatten": (Flatten(), X3),
    "standardise": (Standardise(), X),
    "standardise, far from zero": (Standardise(), X + 1e4),
    "standardise, constant input": (Standardise(), np.ones((5, 4))),
    "dropout": (Drop(0.3, rng=1), X),
    "dropout, large": (Drop(0.3, rng=1), normal(50, 100)),
    "dropout with the package's generator": (Drop(0.5), X),
    "batch normalisation": (Normalise(4), X),
    "batch normalisation of one sample": (Normalise(4), X[:1]),
    "leaky": (Leaky(4), X),
    "leaky with one slope": (Leaky(), X3),
    "leaky at 0": (Leaky(2), np.zeros((3, 2))),
    "table": (Table(5, 4), np.array([0, 2, 2, 4])),
    "table, ids of another type": (Table(5, 4), np.array([[0, 2], [2, 4]], np.uint8)),
    "a container of one's own": (
        Both(Linear(4, 3, rng=0), Sequential(Linear(4, 5, rng=0), ReLU(), Linear(5, 3, rng=0))),
        X,
    ),
    "containers of what is random and what is running": (Both(Drop(rng=0), Sequential(Normalise(4), Scale(4))), X),
    "a shared parameter": (Twice(4), X),
    "an empty sequential": (Sequential(), X),
    "sequential": (Sequential(Linear(4, 6, rng=0), ReLU(), Linear(6, 3, rng=0), Softmax()), X),
    "sequential with two of one generator": (Sequential(Drop(rng=3), Linear(4, 4, rng=0), Drop(rng=3)), X),
    "sequential of ids": (Sequential(Table(5, 4), Linear(4, 2, rng=0)), np.array([[0, 2], [2, 4]])),
    "sequential with a loss": (Sequential(Linear(4, 3, rng=0), SoftmaxCrossEntropy()), X, Y),
    "sequential with a loss and sample weights": (
        Sequential(Linear(4, 3, rng=0), SoftmaxCrossEntropy()),
        X,
        Y,
        np.arange(5.0),
    ),
    "a bias in front of a normalisation": (Sequential(Linear(4, 3, rng=0), Normalise(3)), X),
    "a bias in front of a normalisation, large": (Sequential(Linear(40, 30, rng=0), Normalise(30)), normal(64, 40)),
    "a multilayer perceptron": (
        Sequential(Flatten(), Linear(64, 30, rng=0), ReLU(), Linear(30, 10, rng=0), SoftmaxCrossEntropy()),
        normal(16, 8, 8),
        np.arange(16) % 10,
    ),
    "mean squared error": (MeanSquaredError(), X, X + 1),
    "mean squared error at its minimum": (MeanSquaredError(), X, X),
    "mean squared error, tiny": (MeanSquaredError(), 1e-6 * X, 1e-6 * normal(5, 4, seed=1)),
    "mean squared error, huge": (MeanSquaredError(), 1e4 * X, 1e4 * normal(5, 4, seed=1)),
    "mean squared error, weights of samples": (MeanSquaredError(), X, X + 1, np.arange(5.0)),
    "mean squared error, weights of entries": (MeanSquaredError(), X, X + 1, np.arange(20.0).reshape(5, 4)),
    "cross-entropy": (SoftmaxCrossEntropy(), X, Y),
    "cross-entropy, labels of another type": (SoftmaxCrossEntropy(), X, Y.astype(np.int8)),
    "cross-entropy, probabilities": (SoftmaxCrossEntropy(), X, probabilities(5, 4)),
    "cross-entropy, rank 3": (SoftmaxCrossEntropy(), X3, np.array([[0, 1, 2], [3, 3, 3]])),
    "cross-entropy, rank 3, weights": (
        SoftmaxCrossEntropy(),
        X3,
        np.array([[0, 1, 2], [3, 3, 3]]),
        np.arange(6.0).reshape(2, 3),
    ),
    "cross-entropy, tiny scores": (SoftmaxCrossEntropy(), 1e-6 * X, Y),
    "cross-entropy, huge scores": (SoftmaxCrossEntropy(), 1e4 * X, Y),
    "cross-entropy, scores far from zero": (SoftmaxCrossEntropy(), X + 1e4, Y),
    "cross-entropy of a confident classifier": (SoftmaxCrossEntropy(), X + 20 * np.eye(4)[Y], Y),
    "cross-entropy of a certain classifier": (SoftmaxCrossEntropy(), X + 40 * np.eye(4)[Y], Y),
    "cross-entropy, class weights": (SoftmaxCrossEntropy(weight=[1, 2, 3, 4]), X, Y),
    "cross-entropy, smoothed": (SoftmaxCrossEntropy(label_smoothing=0.2), X, Y),
    "cross-entropy, smoothed probabilities": (SoftmaxCrossEntropy(label_smoothing=0.2), X, probabilities(5, 4)),
    "cross-entropy, ignoring": (SoftmaxCrossEntropy(ignore_index=-1), X, np.array([0, -1, 3, -1, 0])),
    "cross-entropy, all ignored": (SoftmaxCrossEntropy(ignore_index=-1), X, np.full(5, -1)),
    "cross-entropy, sample weights": (SoftmaxCrossEntropy(), X, Y, np.arange(5.0)),
    "cross-entropy, everything": (
        SoftmaxCrossEntropy([1, 2, 0, 4], label_smoothing=0.1, ignore_index=1),
        X,
        Y,
        np.arange(5.0),
    ),
    "a loss of one's own": (Squares([1, 2, 3, 4]), X, X + 1),
    "a weighted loss of one's own": (WeightedCrossEntropy([1, 2, 3]), X[:, :3], Y),
    "elu": (Pointwise(elu, lambda x: np.where(x > 0, 1, np.exp(x)).astype(x.dtype)), X),
    "gelu": (Pointwise(quick_gelu, quick_gelu_slope(1.702)), X),
    "gelu, large": (Pointwise(quick_gelu, quick_gelu_slope(1.702)), normal(50, 100)),
    "a logarithm": (Pointwise(np.log, np.reciprocal), np.random.default_rng(0).uniform(0.01, 1, (10, 50))),
    "a logarithm of small and large": (Pointwise(np.log, np.reciprocal), np.geomspace(1e-3, 10, 20)),
    "a root": (Pointwise(np.sqrt, lambda x: 0.5 / np.sqrt(x)), np.geomspace(1e-3, 10, 20)),
    "a steep sigmoid": (Pointwise(lambda x: np.tanh(100 * x), lambda x: 100 * (1 - np.tanh(100 * x) ** 2)), X),
    "a fast oscillation": (Pointwise(lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x)), X),
}


every_correct_layer = pytest.mark.rows(
    "layer, inputs", [(layer, inputs) for layer, *inputs in CORRECT.values()], ids=CORRECT
)


@every_correct_layer
def test_a_correct_layer_is_not_accused(layer, inputs):
    check_layer(layer, *inputs)


@pytest.mark.long
@every_correct_layer
def test_a_correct_layer_is_not_accused_with_any_seed(layer, inputs):
    for seed in range(1, 6):
        check_layer(layer, *inputs, rng=seed)


@pytest.mark.rows("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_the_step_follows_the_size_of_the_values(scale):
    cube = Pointwise(lambda x: (x / scale) ** 3, lambda x: 3 * (x / scale) ** 2 / scale)
    check_layer(cube, scale * X)
    with pytest.raises(LayerCheckError, match="wrong gradient of x"):
        check_layer(Pointwise(cube.f, lambda x: 3.001 * (x / scale) ** 2 / scale), scale * X)


def random_model_is_not_accused(seed):
    rng = np.random.default_rng(seed)
    D, H, C = rng.integers(1, 9, 3)
    hidden = [ReLU(), Standardise(), Leaky(), Drop(0.2, rng=seed), Normalise(H)][seed % 5]
    model = Sequential(Linear(D, H, rng=rng), hidden, Linear(H, C, rng=rng), SoftmaxCrossEntropy())
    n = rng.integers(2, 9)
    check_layer(model, rng.normal(size=(n, D)), rng.integers(0, C, n), rng=seed)


def test_a_few_random_models_are_not_accused():
    for seed in range(2):
        random_model_is_not_accused(seed)


@pytest.mark.long
def test_many_random_models_are_not_accused():
    for seed in range(2, 100):
        random_model_is_not_accused(seed)


def rows_of(report):
    return [(row.mode, row.name, row.shape, row.comparison.kinks) for row in report.gradients]


def test_the_report_has_a_row_for_each_array_and_mode():
    report = check_layer(Sequential(Linear(4, 3, rng=0), Scale(3)), X)
    arrays = [("x", (5, 4)), ("0.W", (4, 3)), ("0.b", (3,)), ("1.g", (3,))]
    assert rows_of(report) == [(mode, name, shape, 0) for mode in ("training", "evaluation") for name, shape in arrays]


def test_the_report_prints_as_a_table():
    lines = str(check_layer(Scale(4), X)).splitlines()
    assert lines[0] == "Scale(4): the gradients are right and the contract holds"
    assert re.split(r"  +", lines[1]) == ["mode", "array", "shape", "entries checked", "worst error", "on a kink"]
    assert [re.split(r"  +", line)[:4] for line in lines[2:]] == [
        ["training", "x", "(5, 4)", "20 of 20"],
        ["training", "g", "(4,)", "4 of 4"],
        ["evaluation", "x", "(5, 4)", "20 of 20"],
        ["evaluation", "g", "(4,)", "4 of 4"],
    ]
    for line in lines[2:]:
        error, kinks = line.split()[-2:]
        assert 0 <= float(error) < 1e-6
        assert kinks == "0"


@pytest.mark.rows("part", [slice(0, 1), slice(None)])
def test_a_frozen_layer_is_checked_unfrozen_and_said_to_be_so(part):
    model = Sequential(Linear(4, 3, rng=0), Linear(3, 3, rng=0))
    for layer in model.layers[part]:
        layer.freeze()
    report = check_layer(model, X)
    assert [row.name for row in report.gradients][:5] == ["x", "0.W", "0.b", "1.W", "1.b"]
    assert report.notes == ["it is frozen, and was checked as it is after unfreeze()"]
    assert model[0].frozen and not model[0].training

    class Forgets(Scale):
        def backward(self, dy):
            return dy * self.g.data

    with pytest.raises(LayerCheckError, match="wrong gradient of g "):
        check_layer(Forgets(4).freeze(), X)


def test_the_report_counts_the_entries_on_a_kink():
    assert {row[3] for row in rows_of(check_layer(ReLU(), np.array([[0.0, 1.0, -1.0], [-2.0, 0.0, 3.0]])))} == {2}
    assert {row[3] for row in rows_of(check_layer(Largest(), np.array([[1.0, 1.0, 0.0]])))} == {2}
    assert {row[3] for row in rows_of(check_layer(ReLU(), X))} == {0}


@pytest.mark.rows("at_zero, right", [(0.0, True), (0.3, True), (1.0, True), (-0.1, False), (1.1, False)])
def test_on_a_kink_any_slope_between_the_two_is_right(at_zero, right):
    layer = Pointwise(lambda x: np.maximum(x, 0), lambda x: np.where(x == 0, at_zero, x > 0).astype(x.dtype))
    if right:
        check_layer(layer, np.array([0.0, 1.0, -1.0]))
    else:
        with pytest.raises(LayerCheckError, match=r"wrong gradient of x at \(0,\)"):
            check_layer(layer, np.array([0.0, 1.0, -1.0]))


def test_a_wrong_gradient_is_found_in_spite_of_kinks_beside_it():
    layer = Pointwise(lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.01, 0).astype(x.dtype))
    with pytest.raises(LayerCheckError, match=r"wrong gradient of x at \(3,\)"):
        check_layer(layer, np.array([0.0, 0.0, -1.0, 2.0]))


def test_large_arrays_are_sampled_and_moved_in_a_random_direction():
    report = check_layer(Linear(20, 30, rng=0), normal(3, 20))
    assert [row.comparison.checked for row in report.gradients][:3] == [
        "60 of 60",
        "24 of 600 and a direction",
        "30 of 30",
    ]


def test_a_gradient_that_is_zero_has_no_error_in_the_report():
    report = check_layer(Sequential(Linear(4, 3, rng=0), Normalise(3)), X)
    (training,) = (row for row in report.gradients if row.mode == "training" and row.name == "0.b")
    assert training.comparison.error < 1e-3


def test_one_wrong_entry_among_many_is_found_with_every_seed():
    for seed in range(5):
        with pytest.raises(LayerCheckError, match="wrong gradient of x "):
            check_layer(ScaleWithOneWrongEntry(400), normal(100, 400), rng=seed)


def test_the_same_check_gives_the_same_report():
    layer, x = Sequential(Linear(10, 12, rng=0), Drop(rng=1)), normal(12, 10)
    reports = [check_layer(layer, x) for _ in range(2)]
    assert str(reports[0]) == str(reports[1])
    assert [row.comparison.error for row in reports[0].gradients] == [
        row.comparison.error for row in reports[1].gradients
    ]
    assert str(check_layer(layer, x, rng=1)) == str(check_layer(layer, x, rng=np.random.default_rng(1)))


def test_the_same_check_gives_the_same_message():
    messages = set()
    for _ in range(2):
        with pytest.raises(LayerCheckError) as caught:
            check_layer(ScaleWithOneWrongEntry(40), normal(30, 40))
        messages.add(str(caught.value))
    assert len(messages) == 1


def snapshot(layer):
    return (
        {name: (p.data.copy(), p.grad.copy(), p.data.dtype) for name, p in layer.named_parameters().items()},
        layer.state_dict(),
        {name: (sub.training, list(vars(sub))) for name, sub in layer.walk(Layer).items()},
        {name: copy.deepcopy(rng.bit_generator.state) for name, rng in layer.walk(np.random.Generator).items()},
    )


@pytest.mark.rows("wrong, training", [(False, True), (True, False)])
def test_a_check_changes_nothing(wrong, training):
    scale = ScaleSignOfDg(4) if wrong else Scale(4)
    layer = Sequential(scale, Normalise(4), Drop(), Linear(4, 3, rng=0), SoftmaxCrossEntropy())
    inputs = [X.astype(np.float32), Y.copy(), np.arange(5.0)]
    layer(*inputs)
    layer.backward()
    layer.train(training)
    before, package = snapshot(layer), copy.deepcopy(generator().bit_generator.state)
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002
    kept, arrays = copy.deepcopy(inputs), list(inputs)
    caches = [vars(sub).get("cache") for sub in layer.walk(Layer).values()]
    if wrong:
        with pytest.raises(LayerCheckError):
            check_layer(layer, *inputs)
    else:
        check_layer(layer, *inputs)
    np.testing.assert_equal(snapshot(layer), before)
    assert all(vars(sub).get("cache") is cache for sub, cache in zip(layer.walk(Layer).values(), caches))
    assert generator().bit_generator.state == package
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    for now, then, array in zip(inputs, kept, arrays):
        assert now is array and now.dtype == then.dtype
        np.testing.assert_array_equal(now, then)


def test_a_generator_that_was_handed_in_draws_the_check():
    assert str(check_layer(Linear(20, 30, rng=0), normal(3, 20), rng=1)) != str(
        check_layer(Linear(20, 30, rng=0), normal(3, 20), rng=2)
    )


def test_initial_values_hide_nothing():
    class ForgetsG(Scale):
        """dx = dy is right while g is 1."""

        def backward(self, dy):
            super().backward(dy)
            return dy.copy()

    class ForgetsToMultiplyByB(Affine):
        """y = (x W)(1 + b), and b starts at zero."""

        def forward(self, x):
            self.cache = x
            return x @ self.W.data * (1 + self.b.data)

        def backward(self, dy):
            x = self.cache
            self.b.grad += (dy * (x @ self.W.data)).sum(axis=0)
            self.W.grad += x.T @ dy
            return dy @ self.W.data.T

    with pytest.raises(LayerCheckError, match="wrong gradient of x "):
        check_layer(ForgetsG(4), X)
    with pytest.raises(LayerCheckError, match=r"wrong gradient of x .*wrong gradient of W "):
        check_layer(ForgetsToMultiplyByB(4, 3), X)


def test_the_upstream_gradient_is_not_constant():
    seen = []

    class Spy(Layer):
        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            seen.append(np.array(dy))
            return 2 * dy

    check_layer(Spy(), X)
    assert all(len(np.unique(dy)) == dy.size for dy in seen)
    assert any((dy < 0).any() and (dy > 0).any() for dy in seen)


@pytest.mark.rows("result", [None, "text", np.array([1.0, np.nan]), np.array([np.inf]), 1 + 2j])
def test_a_forward_that_returns_no_finite_numbers_is_refused(result):
    class Strange(Layer):
        def forward(self, x):
            return result

        def backward(self, dy):
            return dy

    with pytest.raises(
        LayerCheckError,
        match=r"Strange\(\): expected forward to return an array, or a float if it is a loss, of ",
    ):
        check_layer(Strange(), X)


def test_what_backward_raises_is_kept_as_the_cause():
    with pytest.raises(LayerCheckError, match=r"BackwardRaises\(4\): ") as caught:
        check_layer(BackwardRaises(4), X)
    assert isinstance(caught.value.__cause__, IndexError)


def test_an_input_that_the_layer_refuses_is_the_layers_own_error():
    with pytest.raises(ValueError, match=r"Linear\(4, 3\)"):
        check_layer(Linear(4, 3), normal(5, 7))


@pytest.mark.rows("rng", ["a", 1.5, np.random.RandomState(0)])
def test_what_is_no_seed_is_refused(rng):
    with pytest.raises(TypeError, match=r"expected a seed \(an int\) or a numpy.random.Generator"):
        check_layer(Scale(4), X, rng=rng)


def test_what_is_not_a_layer_or_has_no_input_is_refused():
    with pytest.raises(TypeError, match="expected a Layer, got <class 'minnet"):
        check_layer(Linear, X)
    with pytest.raises(TypeError, match="expected x after the layer"):
        check_layer(Linear(4, 3))
    with pytest.raises(TypeError, match="expected the scores and the target after the layer"):
        check_layer(SoftmaxCrossEntropy(), X)


def test_the_error_is_an_assertion_error():
    with pytest.raises(AssertionError):
        check_layer(ScaleSignOfDx(4), X)
    assert issubclass(LayerCheckError, AssertionError)


def test_a_layer_in_float64_can_be_checked():
    check_layer(Linear(4, 3, rng=0).astype(np.float64), X)


def test_a_layer_whose_forward_takes_any_number_of_inputs_is_named_by_their_place():
    class Sum(Layer):
        def forward(self, *inputs):
            return sum(inputs)

        def backward(self, dy):
            return math.pi * dy

    with pytest.raises(LayerCheckError, match="wrong gradient of input 0 "):
        check_layer(Sum(), X, X + 1)


# Nets that are deep, vanish, explode or saturate.


def stack(depth, width, *layers, seed=0, scale=None):
    """Linear layers, each with the others after it; scale: of their weights."""
    rng, parts = np.random.default_rng(seed), []
    for _ in range(depth):
        parts += [Linear(width, width, rng=rng), *(copy.deepcopy(layer) for layer in layers)]
        if scale:
            parts[-1 - len(layers)].W.data *= scale
    return parts


def residual(depth, width, *layers):
    return [Residual(*stack(1, width, *layers, seed=i)) for i in range(depth)]


DEEP = {
    "thirty batch norms": (stack(30, 4, BatchNorm(4), ReLU()), 16),
    "thirty batch norms, wide": (stack(30, 8, BatchNorm(8), ReLU()), 64),
    "fifty batch norms": (stack(50, 4, BatchNorm(4), ReLU()), 8),
    "eighty batch norms": (stack(80, 4, BatchNorm(4), ReLU()), 8),
    "batch norms and tanh": (stack(30, 4, BatchNorm(4), Tanh()), 8),
    "batch norms and sigmoid": (stack(30, 4, BatchNorm(4), Sigmoid()), 8),
    "layer norms": (stack(30, 6, LayerNorm(6), ReLU()), 5),
    "a gradient that vanishes": (stack(25, 4, Sigmoid()), 6),
    "a gradient that explodes": (stack(20, 4, ReLU(), scale=4), 6),
    "saturated": (stack(8, 4, Tanh(), scale=20), 6),
    "tanh, deep": (stack(40, 4, Tanh()), 6),
    "residual": (residual(20, 4, BatchNorm(4), ReLU()), 8),
    "residual, layer norms": (residual(20, 4, LayerNorm(4), GELU()), 5),
}


@pytest.mark.long
@pytest.mark.rows("loss", [False, True])
@pytest.mark.rows("layers, rows", DEEP.values(), ids=DEEP)
def test_a_deep_net_of_right_layers_is_not_accused(layers, rows, loss):
    for seed in range(2):
        x = normal(
            rows, layers[0].layers[0].W.data.shape[0] if isinstance(layers[0], Residual) else len(layers[0].W.data)
        )
        if loss:
            check_layer(Sequential(*layers, MeanSquaredError()), x, normal(*x.shape, seed=1), rng=seed)
        else:
            check_layer(Sequential(*layers), x, rng=seed)


class BatchNormOfDoubleGamma(BatchNorm):
    def backward(self, dy):
        before = self.gamma.grad.copy()
        dx = super().backward(dy)
        self.gamma.grad += 0.01 * (self.gamma.grad - before)
        return dx


class BatchNormOfOneWrongEntry(BatchNorm):
    def backward(self, dy):
        dx = super().backward(dy)
        self.beta.grad[1] += 1e-3 * np.abs(dy[:, 1]).sum()
        return dx


class LinearForgetsTheLastRow(Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        self.W.grad -= np.outer(self.cache[0][-1], dy[-1])
        return dx


@pytest.mark.long
@pytest.mark.rows("place", [0, 14, 27])
@pytest.mark.rows(
    "fault, name",
    [(BatchNormOfDoubleGamma(4), "gamma"), (BatchNormOfOneWrongEntry(4), "beta"), (LinearForgetsTheLastRow(4, 4), "W")],
)
def test_a_fault_in_a_deep_net_is_found_wherever_it_is(fault, name, place):
    layers = stack(28, 4, BatchNorm(4), ReLU())
    i = 3 * place + isinstance(fault, BatchNorm)
    layers[i] = fault
    with pytest.raises(LayerCheckError) as caught:
        check_layer(Sequential(*layers), normal(8, 4))
    assert caught.value.name == f"{i}.{name}"
    assert set(re.findall(r"wrong gradient of (\S+)", str(caught.value))) == {f"{i}.{name}"}


def test_a_net_of_many_arrays_is_compared_along_directions():
    layers = stack(22, 10, Tanh())
    report = check_layer(Sequential(*layers), normal(3, 10))
    assert {row.comparison.checked for row in report.gradients} == {f"{n} along 3 directions" for n in (30, 100, 10)}
    layers[20] = LinearForgetsTheLastRow(10, 10)
    with pytest.raises(LayerCheckError, match=r"^Sequential\(...\): wrong gradient of 20\.W at "):
        check_layer(Sequential(*layers), normal(3, 10))
