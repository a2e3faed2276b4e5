"""Recurrent layers: a state that is carried from step to step.

All loop over the steps in Python, with time as the first axis. What needs no loop is computed for all steps at once:
one product for x W before it, one for each of dW, dU and dx after it. Lengths, the direction and what happens to
first and last states are in recurrence.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import at_least_one, flag, signed_number
from ..initializers import glorot_uniform, orthogonal, zeros
from ..layer import Parameter
from ..numerics import as_rows, column_sum, transposed
from ..random import Rng, generator
from .recurrence import Recurrent


class _Cell(Recurrent):
    """What the cells share: W, U and b, in `gates` blocks of H columns, and the products that need no loop."""

    gates = 1

    def __init__(self, in_features: int, hidden_features: int, *, reverse: bool = False, rng: Rng = None) -> None:
        owner = type(self).__name__
        at_least_one(owner, in_features=in_features, hidden_features=hidden_features)
        rng, H, self.reverse = generator(rng), hidden_features, flag(owner, "reverse", reverse)
        self.W = Parameter(np.hstack([glorot_uniform((in_features, H), rng) for _ in range(self.gates)]))
        self.U = Parameter(np.hstack([orthogonal((H, H), rng) for _ in range(self.gates)]))
        self.b = Parameter(zeros((self.gates * H,)), decay=False)

    def states(self, x: Array, first: list[Array] | None) -> list[Array]:
        """Arrays for the state at times 0 … T, (T + 1, N, H) each: the first is set, the others are not yet."""
        states = [np.empty((len(x) + 1, x.shape[1], len(self.U.data)), x.dtype) for _ in self.state_names]
        for i, array in enumerate(states):
            array[0] = 0 if first is None else first[i]
        return states

    def inputs(self, x: Array, scale: Array | None = None) -> Array:
        """scale (x W + b): the part of all gates that comes from x, for all steps."""
        W_b = np.vstack([self.W.data, self.b.data])
        if scale is not None:
            W_b *= scale
        return (as_rows(x) @ W_b).reshape(*x.shape[:2], len(self.b.data))

    def accumulate(self, x: Array, h: Array, da: Array, du: Array) -> Array | None:
        """Add dW and db, from the gradients da of x W + b at all steps, and dU, from those of h U, du; return dx."""
        if not self.frozen:
            dW_b = as_rows(x).T @ as_rows(da)
            self.W.grad += dW_b[:-1]
            self.b.grad += dW_b[-1]
            self.U.grad += as_rows(h[:-1]).T @ as_rows(du)
        if not self.input_gradient:
            return None
        dx = as_rows(da) @ self.W.data.T
        return dx.reshape(*x.shape[:2], dx.shape[1])


class RNN(_Cell):
    """The plain recurrent network.

    Forward     hₜ = tanh(xₜ W + hₜ₋₁ U + b),  h₀ = 0 unless it is given
    Backward    from t = T down:  daₜ = (dyₜ + daₜ₊₁ Uᵀ)(1 − hₜ²)      dxₜ = daₜ Wᵀ
                dW = Σ xₜᵀ daₜ      dU = Σ hₜ₋₁ᵀ daₜ      db = Σ daₜ

    Shapes      x (N, T, D)   y (N, T, H), all of h₁ … h_T   W (D, H)   U (H, H)   b (H,)

    in_features: D.  hidden_features: H.  reverse: whether a sequence is read from its last step to its first.
    lengths (N,): how many steps of each sequence count; y and dx are zero behind them. With a first state h (N, H), x
    is (x, h), and dx a tuple too. last_state() is h after the last step, dstate its gradient in backward.
    rng: what draws the initial W, glorot_uniform, and U, orthogonal; b starts at zero.
    Raises ValueError for x of another shape and sizes below 1, TypeError for sizes that are not ints.
    Source: Elman 1990; orthogonal U, Saxe et al. 2014. PyTorch's two biases are one here.
    """

    def forward_steps(self, x: Array, first: list[Array] | None) -> tuple[list[Array], Any]:
        (h,), U = self.states(x, first), self.U.data
        a, hU = self.inputs(x), np.empty_like(h[0])
        for t in range(len(x)):
            np.dot(h[t], U, out=hU)
            hU += a[t]
            np.tanh(hU, out=h[t + 1])
        return [h], None

    def backward_steps(self, x: Array, states: list[Array], rest: Any, dstates: Any) -> tuple[Array, Array, Any]:
        (h,), (dy,) = states, dstates
        da = 1 - h[1:] ** 2
        dh, U_T = np.zeros_like(h[0]), transposed(self.U.data)
        for t in reversed(range(len(x))):
            dh += dy[t]
            da[t] *= dh
            np.dot(da[t], U_T, out=dh)
        return da, da, [dh]


class LSTM(_Cell):
    """Long short-term memory: a cell c that is written, kept and read through gates.

    Forward     i, f, g, o = σ, σ, tanh, σ of the four blocks of a = xₜ W + hₜ₋₁ U + b
                cₜ = f cₜ₋₁ + i g      hₜ = o tanh cₜ,  h₀ = c₀ = 0 unless they are given
    Backward    from t = T down:  dh = dyₜ + daₜ₊₁ Uᵀ      dc = dcₜ₊₁ fₜ₊₁ + dh o (1 − tanh² cₜ)
                da = (dc g, dc cₜ₋₁, dc i, dh tanh cₜ) ⊙ (i(1 − i), f(1 − f), 1 − g², o(1 − o))      dx = da Wᵀ
                dW = Σ xₜᵀ daₜ      dU = Σ hₜ₋₁ᵀ daₜ      db = Σ daₜ

    Shapes      x (N, T, D)   y (N, T, H), all of h₁ … h_T   W (D, 4H)   U (H, 4H)   b (4H,), in the order i, f, g, o

    in_features: D.  hidden_features: H.  reverse: whether a sequence is read from its last step to its first.
    lengths (N,): how many steps of each sequence count; y and dx are zero behind them. With a first state, (N, H) each,
    x is (x, h, c), and dx a tuple too. last_state() is (h, c) after the last step, dstate its gradient in backward.
    forget_bias: where the forget gate's part of b starts; PyTorch has none.
    rng: what draws the initial W, glorot_uniform, and U, orthogonal, block by block; the rest of b starts at zero.
    Raises ValueError for x of another shape and sizes below 1, TypeError for sizes that are not ints.
    Source: Hochreiter and Schmidhuber 1997; the forget gate, Gers et al. 2000. PyTorch's two biases are one here.
    """

    gates, state_names = 4, ("h", "c")

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        reverse: bool = False,
        forget_bias: float = 0.0,
        rng: Rng = None,
    ) -> None:
        super().__init__(in_features, hidden_features, reverse=reverse, rng=rng)
        self.b.data[hidden_features : 2 * hidden_features] = signed_number("LSTM", "forget_bias", forget_bias)

    # The gates overwrite a as blocks: a pass over (32, 128) takes 0.8 µs, over columns of (32, 512) 2.5, the copy 2.
    def forward_steps(self, x: Array, first: list[Array] | None) -> tuple[list[Array], Any]:
        T, N, H = *x.shape[:2], len(self.U.data)
        s, offset, column_scale = _scales(N, H, x.dtype)
        (h, c), U, a = self.states(x, first), self.U.data * column_scale, self.inputs(x, column_scale)
        gates, hU, tanh_c, ig = a.reshape(T, 4, N, H), np.empty_like(a[0]), np.empty_like(c[1:]), np.empty_like(c[0])
        for t in range(T):
            np.dot(h[t], U, out=hU)
            hU += a[t]
            np.tanh(hU, out=hU)
            i, f, g, o = y = gates[t]
            np.copyto(y, _blocks(hU))
            y *= s
            y += offset
            np.multiply(i, g, out=ig)
            np.multiply(f, c[t], out=c[t + 1])
            c[t + 1] += ig
            np.tanh(c[t + 1], out=tanh_c[t])
            np.multiply(o, tanh_c[t], out=h[t + 1])
        return [h, c], (tanh_c, gates)

    # o (1 − tanh² c) is o − h tanh c.
    def backward_steps(self, x: Array, states: list[Array], rest: Any, dstates: Any) -> tuple[Array, Array, Any]:
        (h, c), (tanh_c, gates), (dy, dc_outside) = states, rest, dstates
        T, N, H = tanh_c.shape
        da, (k, slope, one_minus, dgates) = np.empty((T, N, 4 * H), h.dtype), np.zeros((4, 4, N, H), h.dtype)
        k[2], (di, df, dg, do) = 1, dgates
        (dh, dc, through_h), U_T = np.zeros((3, N, H), h.dtype), transposed(self.U.data)
        for t in reversed(range(T)):
            i, f, g, o = gates[t]
            dh += dy[t]
            if dc_outside is not None:
                dc += dc_outside[t]
            np.multiply(h[t + 1], tanh_c[t], out=through_h)
            np.subtract(o, through_h, out=through_h)
            through_h *= dh
            dc += through_h
            np.multiply(dc, g, out=di)
            np.multiply(dc, c[t], out=df)
            np.multiply(dc, i, out=dg)
            np.multiply(dh, tanh_c[t], out=do)
            _multiply_by_slopes(dgates, gates[t], k, slope, one_minus)
            np.copyto(_blocks(da[t]), dgates)
            dc *= f
            np.dot(da[t], U_T, out=dh)
        return da, da, [dh, dc]


class GRU(_Cell):
    """The gated recurrent unit: a state that is partly renewed at each step.

    Forward     r, z = σ of the first two blocks of xₜ W + b + hₜ₋₁ U
                n = tanh(xₜ Wₙ + bₙ + r ⊙ (hₜ₋₁ Uₙ + c))      hₜ = (1 − z) n + z hₜ₋₁,  h₀ = 0 unless it is given
    Backward    from t = T down, with dh = dyₜ + what comes back from t + 1:
                dn = dh (1 − z)(1 − n²)      dz = dh (hₜ₋₁ − n) z(1 − z)      dr = dn (hₜ₋₁ Uₙ + c) r(1 − r)
                dx = (dr, dz, dn) Wᵀ      back to t − 1: dh z + (dr, dz, dn r) Uᵀ
                dW = Σ xᵀ(dr, dz, dn)      dU = Σ hₜ₋₁ᵀ(dr, dz, dn r)      db = Σ (dr, dz, dn)      dc = Σ dn r

    Shapes      x (N, T, D)   y (N, T, H), all of h₁ … h_T
                W (D, 3H), U (H, 3H), b (3H,), in the order r, z, n   c (H,)

    in_features: D.  hidden_features: H.  reverse: whether a sequence is read from its last step to its first.
    lengths (N,): how many steps of each sequence count; y and dx are zero behind them. With a first state h (N, H), x
    is (x, h), and dx a tuple too. last_state() is h after the last step, dstate its gradient in backward.
    rng: what draws the initial W, glorot_uniform, and U, orthogonal, block by block; b and c start at zero.
    Raises ValueError for x of another shape and sizes below 1, TypeError for sizes that are not ints.
    Source: Cho et al. 2014, with the reset gate applied after the product, as in PyTorch and cuDNN.
    """

    gates = 3

    def __init__(self, in_features: int, hidden_features: int, *, reverse: bool = False, rng: Rng = None) -> None:
        super().__init__(in_features, hidden_features, reverse=reverse, rng=rng)
        self.c = Parameter(zeros((hidden_features,)), decay=False)

    # As in LSTM, σ(a) is computed as ½ tanh(a / 2) + ½.
    def forward_steps(self, x: Array, first: list[Array] | None) -> tuple[list[Array], Any]:
        H = len(self.U.data)
        (h,), a = self.states(x, first), self.inputs(x)
        m = np.empty_like(h[1:])
        for t in range(len(x)):
            hU = h[t] @ self.U.data
            rz, n = a[t, :, : 2 * H], a[t, :, 2 * H :]
            rz += hU[:, : 2 * H]
            rz *= 0.5
            np.tanh(rz, out=rz)
            rz *= 0.5
            rz += 0.5
            r, z = rz[:, :H], rz[:, H:]
            np.add(hU[:, 2 * H :], self.c.data, out=m[t])
            n += r * m[t]
            np.tanh(n, out=n)
            np.add(n, z * (h[t] - n), out=h[t + 1])
        return [h], (a, m)

    def backward_steps(self, x: Array, states: list[Array], rest: Any, dstates: Any) -> tuple[Array, Array, Any]:
        (h,), (gates, m), (dy,) = states, rest, dstates
        r, z, n = np.split(gates, 3, axis=2)
        per_dh = np.concatenate([np.zeros_like(n), (h[:-1] - n) * z * (1 - z), (1 - z) * (1 - n * n)], axis=2)
        per_dn = m * r * (1 - r)
        da = per_dh  # filled step by step: the factor of dh is overwritten by its product with dh
        du = np.empty_like(da)
        H = len(self.U.data)
        dh, U_T = np.zeros_like(h[0]), transposed(self.U.data)
        for t in reversed(range(len(x))):
            dh += dy[t]
            da[t, :, H:] *= np.hstack([dh, dh])
            dn = da[t, :, 2 * H :]
            np.multiply(dn, per_dn[t], out=da[t, :, :H])
            du[t] = da[t]
            du[t, :, 2 * H :] *= r[t]
            dh = dh * z[t] + du[t] @ U_T
        if not self.frozen:
            self.c.grad += column_sum(du[..., 2 * H :])
        return da, du, [dh]


# One tanh for all four blocks: σ(a) = ½ tanh(a / 2) + ½, so with s = ½ for the gates and 1 for g every block is
# s tanh(s a) + 1 − s. W, U and b are scaled by s beforehand, so that the products give s a. Constants have the full
# shape, as in backward: NumPy takes 1.5 µs for a pass over one, and 3.5 if it has to broadcast it.
def _scales(N: int, H: int, dtype: np.dtype) -> tuple[Array, Array, Array]:
    """s and 1 − s for an LSTM's blocks, (4, N, H), and s for the columns of W, U and b."""
    s = np.full((4, N, H), 0.5, dtype)
    s[2] = 1
    return s, 1 - s, np.repeat(np.array([0.5, 0.5, 1, 0.5], dtype), H)


# Where σ and tanh give the gates y, their slopes are y (1 − y) and 1 − y²: (y + k)(1 − y), with k = 1 for g alone.
def _multiply_by_slopes(dy: Array, y: Array, k: Array, slope: Array, one_minus: Array) -> None:
    """dy ← dy ⊙ the slopes of an LSTM's gates; slope and one_minus are room for it."""
    np.add(y, k, out=slope)
    np.subtract(1, y, out=one_minus)
    slope *= one_minus
    dy *= slope


def _blocks(a: Array) -> Array:
    """A view of the four gates' columns side by side, (N, 4H), as blocks one after the other, (4, N, H)."""
    return a.reshape(len(a), 4, a.shape[1] // 4).swapaxes(0, 1)
