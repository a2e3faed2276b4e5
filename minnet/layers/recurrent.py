"""Recurrent layers: a state that is carried from step to step.

All loop over the steps in Python, with time as the first axis. What needs no loop is computed for all steps at once:
one product for x W before it, one for each of dW, dU and dx after it. What deals with lengths, the direction of time,
first and last states is in recurrence.py, and what LSTM and GRU know before the loop of backward in gates.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import at_least_one, flag, signed_number
from ..initializers import glorot_uniform, orthogonal, zeros
from ..layer import Parameter
from ..numerics import as_rows, column_sum, scalar, transposed
from ..random import Rng, generator
from .gates import as_blocks, gru_from_last, lstm_from_last
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

    def states(self, x: Array, first: list[Array] | None) -> Array:
        """An array for h at times 0 … T, (T + 1, N, H): the first is set, the others are not yet."""
        h = np.empty((len(x) + 1, x.shape[1], len(self.U.data)), x.dtype)
        h[0] = 0 if first is None else first[0]
        return h

    def W_b(self) -> Array:
        """W with b as its last row: x, with its ones, times it is the part of all gates that comes from x."""
        return np.vstack([self.W.data, self.b.data])

    def accumulate(self, x: Array, h: Array, da: Array, du: Array) -> Array | None:
        """Add dW and db, from the gradients da of x W + b at all steps, and dU, from those of h U, du; return dx."""
        if not self.frozen:
            dW_b = as_rows(x).T @ as_rows(da)
            self.W.grad += dW_b[:-1]
            self.b.grad += dW_b[-1]
            self.U.grad += as_rows(h[:-1]).T @ as_rows(du)
        if not self.input_gradient:
            return None
        return _times(da, self.W.data.T)


class RNN(_Cell):
    """The plain recurrent network.

    Forward     hₜ = tanh(xₜ W + hₜ₋₁ U + b),  h₀ = 0 unless it is given
    Backward    from t = T down:  daₜ = (dyₜ + daₜ₊₁ Uᵀ)(1 − hₜ²)      dxₜ = daₜ Wᵀ
                dW = Σ xₜᵀ daₜ      dU = Σ hₜ₋₁ᵀ daₜ      db = Σ daₜ      dh₀ = da₁ Uᵀ

    Shapes      x (N, T, D)   y (N, T, H), all of h₁ … h_T   W (D, H)   U (H, H)   b (H,)

    in_features: D.  hidden_features: H.  reverse: whether a sequence is read from its last step to its first.
    lengths (N,): how many steps of each sequence count; y and dx are zero behind them. With a first state h (N, H), x
    is (x, h), and dx a tuple too. last_state() is h after the last step, dstate its gradient in backward.
    rng: what draws the initial W, glorot_uniform, and U, orthogonal; b starts at zero.
    Raises ValueError for x of another shape and sizes below 1, TypeError for sizes that are not ints.
    Source: Elman 1990; orthogonal U, Saxe et al. 2014. PyTorch's two biases are one here.
    """

    def forward_steps(self, x: Array, first: list[Array] | None) -> tuple[list[Array], Any]:
        h, U = self.states(x, first), self.U.data
        for h_before, h_t, a_t in zip(h, h[1:], _times(x, self.W_b())):
            np.dot(h_before, U, out=h_t)
            h_t += a_t
            np.tanh(h_t, out=h_t)
        return [h], None

    def backward_steps(self, x: Array, states: list[Array], rest: Any, dstates: Any) -> tuple[Array, Array, Any]:
        (h,), (dy,) = states, dstates
        da = 1 - h[1:] ** 2
        dh, U_T = np.zeros_like(h[0]), transposed(self.U.data)
        for dy_t, da_t in zip(dy[::-1], da[::-1]):
            dh += dy_t
            da_t *= dh
            np.dot(da_t, U_T, out=dh)
        return da, da, [dh]


class LSTM(_Cell):
    """Long short-term memory: a cell c that is written, kept and read through gates.

    Forward     i, f, g, o = σ, σ, tanh, σ of the four blocks of a = xₜ W + hₜ₋₁ U + b
                cₜ = f cₜ₋₁ + i g      hₜ = o tanh cₜ,  h₀ = c₀ = 0 unless they are given
    Backward    from t = T down:  dh = dyₜ + daₜ₊₁ Uᵀ      dc = dcₜ₊₁ fₜ₊₁ + dh o (1 − tanh² cₜ)
                da = (dc i g (1 − i), dc f cₜ₋₁ (1 − f), dc i (1 − g²), dh hₜ (1 − o))      dx = da Wᵀ
                dW = Σ xₜᵀ daₜ      dU = Σ hₜ₋₁ᵀ daₜ      db = Σ daₜ      dh₀ = da₁ Uᵀ      dc₀ = dc₁ f₁

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

    # A step keeps i, f, o, g and the c before it in blocks, (N, H) each: what the three σ have in common is one pass,
    # i g and f c another.
    def forward_steps(self, x: Array, first: list[Array] | None) -> tuple[list[Array], Any]:
        h, a, U = self.states(x, first), _times(x, _ifog(self.W_b())), _ifog(self.U.data)
        (N, H), half, hU = h.shape[1:], scalar(0.5, h.dtype), np.empty_like(a[0])
        kept, products, tanh_c = np.empty((len(h), 5, N, H), h.dtype), np.empty((2, N, H), h.dtype), np.empty_like(h[0])
        c, (ig, fc), hU_blocks = kept[:, 4], products, as_blocks(hU, H)
        c[0] = 0 if first is None else first[1]
        views = kept[:, :4], kept[:, :3], kept[:, :2], kept[:, 3:], kept[:, 2], c[1:]
        for h_before, h_t, a_t, ifog, ifo, i_f, g_c, o, c_t in zip(h, h[1:], a, *views):
            np.dot(h_before, U, out=hU)
            hU += a_t
            np.tanh(hU_blocks, out=ifog)
            ifo *= half
            ifo += half
            np.multiply(i_f, g_c, out=products)
            np.add(ig, fc, out=c_t)
            np.tanh(c_t, out=tanh_c)
            np.multiply(o, tanh_c, out=h_t)
        return [h, c], kept

    def backward_steps(self, x: Array, states: list[Array], kept: Any, dstates: Any) -> tuple[Array, Array, Any]:
        T, N, H = dstates[0].shape
        da, U_T = np.empty((T, N, 4 * H), x.dtype), transposed(self.U.data)
        dh, dc, dh_k = np.zeros((3, N, H), x.dtype)
        for dy, dc_outside, k, d_ifg, d_o, d, columns, f, da_t in lstm_from_last(states, kept, dstates, da):
            dh += dy
            if dc_outside is not None:
                dc += dc_outside
            np.multiply(dh, k, out=dh_k)
            dc += dh_k
            d_ifg *= dc
            d_o *= dh
            np.copyto(columns, d)
            dc *= f
            np.dot(da_t, U_T, out=dh)
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

    # A step keeps r, z, n and m = hₜ₋₁ Uₙ + c in blocks. As in LSTM, σ(a) is computed as ½ tanh(a / 2) + ½.
    def forward_steps(self, x: Array, first: list[Array] | None) -> tuple[list[Array], Any]:
        h, a, U = self.states(x, first), _times(x, self.W_b()), self.U.data
        (N, H), half, hU = h.shape[1:], scalar(0.5, h.dtype), np.empty_like(a[0])
        kept, c = np.empty((len(x), 4, N, H), h.dtype), np.tile(self.c.data, (N, 1))
        hU_blocks, a = as_blocks(hU, H), as_blocks(a, H)
        hU_rz, hU_n = hU_blocks[:2], hU_blocks[2]
        views = a[:, :2], a[:, 2], kept[:, :2], *kept.swapaxes(0, 1)
        for h_before, h_t, a_rz, a_n, rz, r, z, n, m in zip(h, h[1:], *views):
            np.dot(h_before, U, out=hU)
            np.add(hU_rz, a_rz, out=rz)
            rz *= half
            np.tanh(rz, out=rz)
            rz *= half
            rz += half
            np.add(hU_n, c, out=m)
            np.multiply(r, m, out=n)
            n += a_n
            np.tanh(n, out=n)
            np.subtract(h_before, n, out=h_t)
            h_t *= z
            h_t += n
        return [h], kept

    def backward_steps(self, x: Array, states: list[Array], kept: Any, dstates: Any) -> tuple[Array, Array, Any]:
        T, N, H = dstates[0].shape
        da, du = np.empty((2, T, N, 3 * H), x.dtype)
        (dh, dh_U), U_T = np.zeros((2, N, H), x.dtype), transposed(self.U.data)
        for dy, d, d_of_U, columns, z, du_t in gru_from_last(states[0], kept, dstates[0], da, du):
            dh += dy
            d *= dh
            np.copyto(columns, d_of_U)
            np.dot(du_t, U_T, out=dh_U)
            dh *= z
            dh += dh_U
        if not self.frozen:
            self.c.grad += column_sum(du[..., 2 * H :])
        return da, du, [dh]


def _times(x: Array, W: Array) -> Array:
    """x W, for all steps."""
    return (as_rows(x) @ W).reshape(*x.shape[:2], W.shape[1])


# One tanh for all four gates: σ(a) = ½ tanh(a / 2) + ½. The halves of a come from those of W, U and b.
def _ifog(W: Array) -> Array:
    """W, U or b as an LSTM's loop wants them: columns in the order i, f, o, g, and those of i, f and o halved."""
    H = W.shape[1] // 4
    columns = 0.5 * W
    columns[:, 2 * H : 3 * H] = columns[:, 3 * H :]
    columns[:, 3 * H :] = W[:, 2 * H : 3 * H]
    return columns
