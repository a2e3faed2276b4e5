"""Faults of the layers: those of images first, then those of features and of sequences."""

from __future__ import annotations

IMAGES = {
    "layers/convolution": [
        (
            "before = tuple(t // 2 for t in total)",
            "before = tuple(t - t // 2 for t in total)",
            'the odd zero of an even kernel with padding="same" goes in front',
        ),
        (
            "* s + d * (k - 1) + 1 - n",
            "* s + k - n",
            'padding="same" forgets the dilation',
        ),
        (
            "self.W.grad += flipped(dW, strips.groups)",
            "self.W.grad[...] = flipped(dW, strips.groups)",
            "a second backward does not add to dW",
        ),
        (
            "self.W.grad += kernel_gradient(dy, x, self.strips).swapaxes(2, 3)",
            "self.W.grad += kernel_gradient(dy, x, self.strips).reshape(self.W.data.shape)",
            "dW of a transposed convolution at the front of a model is turned",
        ),
        (
            "sides = zip(self.stride, x.shape[1:3]",
            "sides = zip(self.stride[::-1], x.shape[1:3]",
            "a transposed convolution swaps the two strides",
        ),
        (
            "if in_channels % groups or out_channels % groups:",
            "if in_channels % groups:",
            "groups that don't divide the output channels are accepted",
        ),
        (" or self.stride != (1,)", "", "lengths count steps of x in a y of a stride"),
        ("- 2 * p + more for", "- 2 * p for", "output_padding adds nothing"),
    ],
    "layers/windows": [
        (
            "reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel)]",
            "reach = [k - 1 for k in self.kernel]",
            "dx of a dilated kernel lies shifted",
        ),
        ("step = max(1, BLOCK // numbers)", "step = BLOCK // numbers", "a sample larger than a block is refused"),
        (
            "x[..., step * j : step * j + dilation * width : dilation, :, :]",
            "x[..., step * j : step * j + width : dilation, :, :]",
            "a wide dilated kernel over few places is not folded",
        ),
        (
            "return np.moveaxis(y.reshape(-1, t, groups, K), 2, 0)",
            "return np.moveaxis(y.reshape(-1, t, K, groups), 3, 0)",
            "channels that are groups apart make a group",
        ),
        (
            "overlap = geometry.dilation[-1] == 1 and geometry.kernel[-1] > geometry.stride[-1]",
            "overlap = geometry.kernel[-1] > geometry.stride[-1]",
            "a dilated kernel is copied into strips that have no room for it",
        ),
        (
            "slice(d * u, d * u + s * n, s) for u",
            "slice(s * u, s * u + s * n, s) for u",
            "dx of a kernel with a stride and another dilation lands elsewhere",
        ),
        (
            "x = np.ascontiguousarray(pad(x, self.before, self.after))",
            "x = pad(x, self.before, self.after)",
            "images that are not contiguous, and have no padding, are misread",
        ),
        (
            "kernel_copies(T, self.kernel, self.stride[-1]).sum(axis=-2)",
            "kernel_copies(T, self.kernel, self.stride[-1])[..., 0, :]",
            "dW counts the first place of a strip only",
        ),
        ("if min(given) < least:", "if given[0] < least:", "the second number of a pair is not looked at"),
        (
            "runs(seen, 2 if self.dilation[-1] == 1 else 1)",
            "runs(seen, 2)",
            "a kernel with dilation along its rows sees neighbours",
        ),
        (
            "(*self.stride[:-1], self.t * self.stride[-1]), self.dilation)",
            "(*self.stride[:-1], self.t), self.dilation)",
            "strips of several places with a stride overlap too much",
        ),
        (
            "min(n, length - b)) for i",
            "n) for i",
            "a padding that is wider than the kernel reaches is not cut off",
        ),
    ],
    "layers/pooling": [
        ("margin = -math.inf", "margin = -1.0", "the margin of a maximum beats values below −1"),
        ("(candidate > y)", "(candidate >= y)", "the last of tied maxima gets the gradient"),
        ("np.min_scalar_type(len(others))", "np.uint8", "a window of more than 256 entries has no winner"),
        (
            "self.disjoint = all(s >= k",
            "self.disjoint = any(s >= k",
            "windows that overlap along one axis only overwrite each other's gradient",
        ),
        (
            "share = np.ascontiguousarray(dy / math.prod(self.kernel))",
            "share = dy / math.prod(self.kernel)",
            "the mean's gradient is misread where dy is not contiguous",
        ),
        (
            "return x.mean(axis=along)",
            "return x.mean(axis=along[:2])",
            "the mean over all positions leaves out a third axis of them",
        ),
        ("if any(2 * p > k for", "if any(p > k for", "padding of more than half of the window is accepted"),
    ],
    "layers/dropout": [
        (
            "x.dtype.type(1 / (1 - self.p) if self.p < 1 else 0)",
            "x.dtype.type(1 / (1 - self.p))",
            "p = 1 divides by zero",
        ),
        (
            "* x.dtype.type(1 / (1 - self.p) if self.p < 1 else 0)",
            "* np.float64(1 / (1 - self.p) if self.p < 1 else 0)",
            "float32 becomes float64",
        ),
        ("% 1 == 0), 32)", "% 1 == 0), 16)", "a probability that 16 bits do not hold is rounded to them"),
        (
            "return dy if m is None else m * dy",
            "return dy if m is None or not self.training else m * dy",
            "a mode that is switched after forward changes the gradient",
        ),
    ],
}

FEATURES = {
    "layers/batch_norm": [
        (
            "self.cache = x, centre, r, training",
            "self.cache = x, centre, r, True",
            "dx in evaluation is that of training",
        ),
        (
            "running.data = (1 - self.momentum) * running.data + self.momentum * batch",
            "np.copyto(running.data, (1 - self.momentum) * running.data + self.momentum * batch)",
            "running statistics that came read-only from another process are in the way",
        ),
        ("variance * (n / (n - 1)))", "variance)", "the running variance is the biased one"),
        (
            "return x, (pivot, shift), pivot + shift,",
            "return x, (pivot, shift), pivot,",
            "the running mean is that of every eighth line",
        ),
        (
            "d, n = some - tiled(some.shape[1], first),",
            "d, n = some - 0 * tiled(some.shape[1], first),",
            "a constant feature leaves a remainder, which is then enlarged",
        ),
        ("first += column_sum(u[part])", "first[:] = column_sum(u[part])", "Σ dy is that of the last block of lines"),
        (
            "n, C = x.size // x.shape[-1], x.shape[-1]",
            "n, C = len(x), x.shape[-1]",
            "batch norm after a convolution divides by the batch alone",
        ),
        (
            "return (zero, mean) if (",
            "return (zero, mean) if True or (",
            "a large mean costs the digits of the variance",
        ),
        ("np.sqrt(variance)).all()", "np.sqrt(variance)).any()", "one feature near 0 takes the digits of another"),
        (
            "return x.size <= min(BLOCK, FEW * x.shape[-1])",
            "return x.size <= BLOCK",
            "sums of many rows, and a first row that is far from all others, cost digits",
        ),
        ("if n > 128:", "if False:", "a first row that is far from hundreds of others costs digits"),
        ("tiled(width, c - shift * a)", "tiled(width, c)", "large batches are not centred"),
        ("return first, second - shift * first", "return first, second", "dγ of large batches is of x − pivot"),
    ],
    "layers/normalization": [
        (
            "self.of_channels(x_b[:, 0, :: len(gamma) // self.groups])",
            "self.of_channels(x_b[:, 0, : self.groups])",
            "the pivot of a group is of another, and a constant group leaves a remainder",
        ),
        (
            "standardize(x_b, x_b[:, :1],",
            "standardize(x_b, 0 * x_b[:, :1],",
            "a constant row leaves a remainder, which is then enlarged",
        ),
        (
            "np.sqrt(row_means(np.multiply(x_b, x_b, out=y_b)) + self.eps)",
            "(np.sqrt(row_means(np.multiply(x_b, x_b, out=y_b))) + self.eps)",
            "ε stands outside of the root",
        ),
        (
            "np.multiply(xhat_b, mean_product[:, None], out=product)",
            "product[:] = 0",
            "dx forgets that the variance depends on x",
        ),
        (
            "self.gamma.grad += column_sum(dgamma)",
            "self.gamma.grad[:] = column_sum(dgamma)",
            "dγ is that of the last block of samples",
        ),
    ],
    "layers/correlation": [
        (
            "reshape(*kernel, c, groups, K // groups)\n    return W.swapaxes(-1, -3)",
            "reshape(*kernel, c, K // groups, groups)\n    return W.swapaxes(-1, -3)",
            "dx takes the channels of another group",
        ),
        (
            "np.flip(W, tuple(range(len(kernel))))",
            "np.flip(W, 0)",
            "dx turns the kernel along the first axis only",
        ),
        (
            "if any(s != 1 for s in strips.stride):",
            "if strips.stride[0] != 1:",
            "a stride along the second axis alone is taken for none on the way back",
        ),
        (
            "for margin in (strips.before, strips.after))\n    for part",
            "for margin in (strips.after, strips.before))\n    for part",
            "folding dx cuts off the margins of the other side, which differ for an even kernel",
        ),
        (
            "dT += strips.unfold(x[part])",
            "dT[...] = strips.unfold(x[part])",
            "dW, where dx is folded, is that of the last block of samples",
        ),
        (
            "dT += rows.swapaxes(1, 2)",
            "dT[...] = rows.swapaxes(1, 2)",
            "dW, of windows unfolded once, is that of the last block of samples",
        ),
    ],
    "layers/winograd": [
        ("POINTS, SIZE = (0.0, 0.75, -0.75,", "POINTS, SIZE = (0.0, 0.01, -0.01,", "points so close cost digits"),
        (
            "y[...] = whole[:, *(slice(p) for p in self.places)]",
            "y[...] = whole[:, *(slice(-p, None) for p in self.places)]",
            "where tiles reach beyond y, it is moved",
        ),
        ("dU += V.swapaxes(1, 2)", "dU[...] = V.swapaxes(1, 2)", "dW is that of the last block of samples"),
        (
            "self.before, self.places = shape[1:-1], strips.before,",
            "self.before, self.places = shape[1:-1], strips.after,",
            "the zeros before x are as many as those behind it",
        ),
    ],
    "layers/resize": [
        (
            "(np.arange(scale * n) + 0.5) / scale - 0.5",
            "np.arange(scale * n) / scale",
            "a larger image is moved by half a pixel",
        ),
        ("dy.reshape(N, H // s, s,", "dy.reshape(N, s, H // s,", "gradients reach other pixels"),
        ("place[:, None] - np.arange(n)", "place[:, None] - np.arange(n)[::-1]", "an image is turned"),
    ],
    "layers/linear": [
        (
            "if ids.size and (ids.min() < 0 or ids.max() >= num):",
            "if ids.size and ids.max() >= num:",
            "a negative id counts from the end",
        ),
        ("self.W.grad[:T] += dy.sum(axis=0)", "self.W.grad[:T] = dy.sum(axis=0)", "a second backward does not add"),
        ("return x_t + W[t], t + 1", "return x_t + W[t], t", "each step is the first"),
        ("x.shape[1] > len(W)", "x.shape[1] >= len(W)", "a sequence of the full length is refused"),
        (
            "self.b = Parameter(zeros((out_features,)), decay=False)",
            "self.b = Parameter(zeros((out_features,)))",
            "weight decay reaches the bias",
        ),
        ("ids, dy = ids[trained], dy[trained]", "pass", "the vector of padding is trained"),
    ],
    "layers/activations": [
        (
            'self.negative_slope = signed_number("LeakyReLU", "negative_slope", negative_slope)',
            "self.negative_slope = negative_slope",
            "a slope of NumPy's makes float32 float64",
        ),
        (
            "np.maximum if self.negative_slope <= 1 else np.minimum",
            "np.maximum",
            "a slope above 1 is taken on both sides",
        ),
        ("np.minimum(x, _zeros(x), out=dx)", "dx[...] = x", "exp of a large x overflows in ELU"),
        ("if self.alpha != 1:", "if False:", "ELU's slope forgets an alpha other than 1"),
        ("self.a.grad += da if len(a) > 1 else da.sum()", "self.a.grad += da.sum()", "all slopes get one gradient"),
    ],
    "layers/softmax": [
        ("return p * (dy - row_sum(dy * p))", "return dy * p * (1 - p)", "softmax's Jacobian is its diagonal"),
        (
            'Source: Bridle 1990.\n    """\n\n    stepwise = True\n    gives_probabilities = True',
            'Source: Bridle 1990.\n    """\n\n    stepwise = True\n    gives_probabilities = False',
            "a double softmax is not refused",
        ),
    ],
    "layers/shape": [
        (
            "y = x.reshape(len(x), math.prod(x.shape[1:]))",
            "y = x.reshape(len(x), -1)",
            "a batch without rows is not flattened",
        ),
        (
            'return real_input(layer, x) if x.dtype.kind == "f" and x.shape else x',
            "return x",
            "half precision goes through layers that only move numbers",
        ),
        ("dx = np.zeros(shape, dy.dtype)", "dx = np.zeros(self.cache)", "float32 becomes float64"),
        ("n == -1 else n for n", "abs(n) == 1 else n for n", "beside a −1, a size of 1 is taken for whatever is left"),
    ],
    "layers/attention": [
        ("np.tri(T, dtype=bool).T", "np.tri(T, k=1, dtype=bool).T", "a causal step sees the next one"),
        ("seen.append(keys_within(lengths, T))", "pass", "keys in the padding have weight"),
        (
            "as_rows(dy if lengths is None else without_padding(dy, lengths))",
            "as_rows(dy)",
            "the gradient of padding counts",
        ),
        (
            "np.hstack([glorot_uniform(square, rng) for _ in range(3)])",
            "glorot_uniform((features, 3 * features), rng)",
            "the initial q, k and v are scaled as one matrix",
        ),
    ],
    "layers/cross_attention": [
        (
            "as_rows(_of_some(dy, lengths))",
            "as_rows(dy)",
            "a context of length 0 has a gradient",
        ),
        ("self.W_kv.grad += as_rows", "self.W_kv.grad[...] = as_rows", "a second backward does not add to dW_kv"),
    ],
    "layers/heads": [
        (
            "p -= p.max(axis=-2, keepdims=True)",
            "p -= p.max()",
            "queries whose scores lie far below those of others have none left",
        ),
        (
            "dq *= 1 / math.sqrt(q.shape[-1])",
            "dq *= 1 / math.sqrt(q.shape[-1] * q.shape[1])",
            "the gradient of several heads is scaled as that of one",
        ),
        ("is_step(np.where(lengths, lengths, S), S)", "is_step(lengths, S)", "the softmax over no keys is NaN"),
        (
            "if used[0] != t or t == kv.shape[3]:",
            "if t == kv.shape[3]:",
            "the second step from a state overwrites what followed the first",
        ),
        (
            "p -= np.maximum.reduce(p, axis=2, keepdims=True)",
            "p -= p.max()",
            "in a step, heads whose scores lie far below those of others have none left",
        ),
    ],
    "layers/recurrent": [
        (
            "np.hstack([orthogonal((H, H), rng) for _ in range(self.gates)])",
            "orthogonal((H, self.gates * H), rng)",
            "the blocks of U are not orthogonal each",
        ),
        (
            "np.hstack([glorot_uniform((in_features, H), rng) for _ in range(self.gates)])",
            "glorot_uniform((in_features, self.gates * H), rng)",
            "the blocks of W are scaled as one",
        ),
        (
            "self.b.data[hidden_features : 2 * hidden_features] =",
            "self.b.data[:hidden_features] =",
            "the forget bias is that of another gate",
        ),
        (
            "self.c.grad += column_sum(du[..., 2 * H :])",
            "self.c.grad[...] = column_sum(du[..., 2 * H :])",
            "a second backward does not add to dc",
        ),
        ("            dc *= f\n", "", "the cell's gradient is never forgotten"),
        (
            "            if dc_outside is not None:\n                dc += dc_outside\n",
            "",
            "the gradient of a last cell goes nowhere",
        ),
        ("0 if first is None else first[0]", "0", "a first state counts as zeros"),
        ("0 if first is None else first[1]", "0", "a first cell counts as zeros"),
        ("] = columns[:, 3 * H :]", "] = W[:, 3 * H :]", "the output gate is opened twice as far"),
    ],
    "layers/gates": [
        (
            "np.multiply(dn, r, out=dn_r)",
            "np.multiply(dn, r[:1], out=dn_r)",
            "the reset gate of the first step serves all",
        ),
        ("h[:-1][span]", "h[1:][span]", "the update gate's gradient takes the state after the step"),
        ("    do *= h\n", "", "the output gate's gradient does not depend on the cell"),
        (
            "[slice(max(end - S, 0), end)",
            "[slice(max(end - S, 0) + (end < T), end)",
            "the first step of a span is left out",
        ),
    ],
    "layers/recurrence": [
        (
            "lengths[:, None] - 1 - np.arange(T)",
            "T - 1 - np.arange(T)",
            "reverse begins in the padding",
        ),
        (
            " = without_padding(x, lengths)",
            " = x + 0",
            "the gradients of weights hold what is in the padding",
        ),
        (
            "dy = without_padding(dy, lengths)",
            "dy = dy + 0",
            "a gradient in the padding reaches the weights",
        ),
        (
            "return len(x) if lengths is None else lengths, np.arange(x.shape[1])",
            "return len(x), np.arange(x.shape[1])",
            "the last state is that behind the padding",
        ),
        (
            "            dfirst = times[:, 0] + dfirst\n",
            "",
            "an empty sequence passes no gradient from its last to its first state",
        ),
        ("[array[1].copy() for array in states]", "[array[1] for array in states]", "y of a step is the state itself"),
        (
            "y.copy() if lengths is None",
            "np.ascontiguousarray(y) if lengths is None",
            "what is written into y of one sample changes the cache",
        ),
    ],
}
