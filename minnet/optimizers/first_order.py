"""The first-order optimizers, by growing complexity: they need nothing but the gradient."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array

from ..arguments import flag, number
from ..numerics import scalar
from .optimizer import ClipNorm, LearningRate, Optimizer
from .vectors import Parameters


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    Update      v ← μ v + g      w ← w − lr v      Nesterov: w ← w − lr (g + μ v)

    momentum: μ, from 0 to below 1; without it v is g.  nesterov: whether to look ahead.
    The rest as in Optimizer. The same as PyTorch's with its default dampening of 0.
    Source: Polyak 1964; Nesterov's form, Sutskever et al. 2013, with lr outside of v.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: LearningRate,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        clip_norm: ClipNorm = None,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, clip_norm)
        self.momentum = number(self.name, "momentum", momentum, below=1.0)
        self.nesterov = flag("SGD", "nesterov", nesterov)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum above 0")
        if momentum:
            self.add_moments("v")

    def update(self, w: Array, g: Array, lr: float, *moments: Array) -> None:
        step = g
        for v in moments:
            v *= self.momentum
            v += g
            step = g + self.momentum * v if self.nesterov else v
        np.multiply(step, scalar(lr, g.dtype), out=g)  # g is not needed any more: this saves a temporary
        w -= g


class RMSprop(Optimizer):
    """Divides each entry of the gradient by the root of a running mean of its square.

    Update      v ← α v + (1 − α) g²      u ← μ u + g / (√v + ε)      w ← w − lr u

    alpha: α.  eps: ε.  momentum: μ, from 0 to below 1; without it u is g / (√v + ε).  The rest as in Optimizer.
    The same as PyTorch's, not centered.
    Source: Tieleman and Hinton 2012.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: LearningRate = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        clip_norm: ClipNorm = None,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, clip_norm)
        self.alpha = number(self.name, "alpha", alpha, below=1.0)
        self.eps = number(self.name, "eps", eps)
        self.momentum = number(self.name, "momentum", momentum, below=1.0)
        self.add_moments("v", *["u"] * bool(momentum))

    def update(self, w: Array, g: Array, lr: float, *moments: Array) -> None:
        v, *velocity = moments
        v *= self.alpha
        v += (1 - self.alpha) * g * g
        g /= np.sqrt(v) + self.eps
        for u in velocity:
            u *= self.momentum
            u += g
            g = u
        w -= lr * g


class Adagrad(Optimizer):
    """Divides each entry of the gradient by the root of the sum of its squares so far.

    Update      v ← v + g²      w ← w − lr g / (√v + ε)

    eps: ε.  The rest as in Optimizer. The same as PyTorch's with its default lr_decay of 0.
    Source: Duchi, Hazan and Singer 2011.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: LearningRate = 0.01,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        clip_norm: ClipNorm = None,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, clip_norm)
        self.eps = number(self.name, "eps", eps)
        self.add_moments("v")

    def update(self, w: Array, g: Array, lr: float, *moments: Array) -> None:
        (v,) = moments
        v += g * g
        w -= lr * g / (np.sqrt(v) + self.eps)


class Adam(Optimizer):
    """Steps by exponential moving averages of the gradient and of its square.

    Update      m ← β₁ m + g      v ← β₂ v + g²
                w ← w − lr m̂ / (√v̂ + ε),  m̂ = m / (1 + β₁ + … + β₁ᵗ⁻¹),  v̂ = v / (1 + β₂ + … + β₂ᵗ⁻¹),  t from 1

    betas: β₁ and β₂.  eps: ε.  The rest as in Optimizer. The same as PyTorch's, without amsgrad; but m and v are the
    sums above: m (1 − β₁) and v (1 − β₂) are the m and v of the paper and of PyTorch's state.
    Source: Kingma and Ba 2015.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: LearningRate = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        clip_norm: ClipNorm = None,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, clip_norm)
        if not hasattr(betas, "__len__"):
            raise TypeError(f"{self.name}: expected betas to be a pair of numbers, got {betas!r}")
        if len(betas) != 2:
            raise ValueError(f"{self.name}: expected betas to be a pair of numbers, got {betas!r}")
        self.betas = tuple(number(self.name, "each of betas", beta, below=1.0) for beta in betas)
        self.eps = number(self.name, "eps", eps)
        self.add_moments("m", "v")

    # Sums take two passes fewer than the paper's means. With the scalars divisor = Σ β₁ⁱ and root = √Σ β₂ⁱ,
    # m̂ / (√v̂ + ε) is (root / divisor) m / (√v + root ε); √v overwrites g.
    def update(self, w: Array, g: Array, lr: float, *moments: Array) -> None:
        m, v = moments
        (beta1, beta2), t = self.betas, self.steps + 1
        divisor, root = (1 - beta1**t) / (1 - beta1), math.sqrt((1 - beta2**t) / (1 - beta2))
        m *= scalar(beta1, m.dtype)
        m += g
        v *= scalar(beta2, v.dtype)
        np.multiply(g, g, out=g)
        v += g
        np.sqrt(v, out=g)
        g += root * self.eps
        np.divide(m, g, out=g)
        g *= lr * root / divisor
        w -= g


class AdamW(Adam):
    """Adam with decoupled weight decay, which stays out of the moving averages.

    Update      w ← (1 − lr λ) w for parameters that decay, then as Adam

    weight_decay: λ.  The rest as in Adam. The same as PyTorch's.
    Source: Loshchilov and Hutter 2019.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: LearningRate = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        clip_norm: ClipNorm = None,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, clip_norm)

    def decay(self, w: Array, g: Array, lr: float) -> None:
        for p, w_p, _ in self._views:
            if p.decay:
                w_p *= 1 - lr * self.weight_decay
