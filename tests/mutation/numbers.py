"""Faults of numbers: of stable functions, losses, metrics, first values and random generators."""

from __future__ import annotations

NUMBERS = {
    "numerics": [
        (
            "    y = np.exp(-x)\n    y += 1\n    return np.divide(1, y, out=y)",
            "    return (1 + np.tanh(x / 2)) / 2",
            "the sigmoid of a very negative number is 0",
        ),
        (
            "    np.log1p(y, out=y)\n",
            "    y += 1\n    np.log(y, out=y)\n",
            "the softplus of a very negative number is 0",
        ),
        ("np.full(x.shape, 80, x.dtype)", "np.full(x.shape, 90, x.dtype)", "the softplus of a large number overflows"),
        (
            "    return with_column(np.subtract, z, log_sum, out=z).reshape(x.shape)",
            "    return np.log(softmax(x))",
            "the logarithm of an unlikely class is infinite",
        ),
        ("ufunc(rows.ravel(), column", 'ufunc(rows.ravel("K"), column', "the softmax of scores in columns is another"),
        ("        e /= e.dot(one)\n", "", "a single row of probabilities does not sum to 1"),
        ("        holds_long = n > LONG\n", "", "vectors of every length are kept"),
        (
            "for k in range(0, len(W), 16):",
            "for k in range(0, max(1, len(W) // 16 * 16), 16):",
            "the last strip is left out where it is uneven",
        ),
        (
            "for k in range(0, x.size, step):",
            "for k in range(0, x.size // step * step, step):",
            "the last block is left out where it is uneven",
        ),
    ],
    "gaussian": [
        ("0.019852496688983708", "0.019852496688993708", "erf is wrong in its 14th digit"),
        ("-3.2594976072e-05", "-3.2694976072e-05", "GELU in float32 is wrong in its 7th digit"),
        ("np.clip(x, -10, 10, out=pdf)  #", "pdf[...] = x  #", "the square in an approximate GELU's slope overflows"),
        (
            "pdf *= 2 * math.sqrt(2 / math.pi) * 3 * 0.044715",
            "pdf *= 2 * math.sqrt(2 / math.pi) * 0.044715",
            "the slope of the approximate GELU lacks a 3",
        ),
    ],
    "losses/loss": [
        (
            "np.broadcast_to(s.reshape(s.shape + (1,) * (len(shape) - s.ndim)), shape)",
            "np.broadcast_to(s, shape)",
            "weights of samples are spread along the features",
        ),
        (
            "return int(np.count_nonzero(which)) if s is None else float((which * s).sum())",
            "return int(np.count_nonzero(which))",
            "a sample of weight 0 counts in the accuracy",
        ),
        ('mean_over not in ("weights", "samples")', "False", "a mean over anything is one over samples"),
    ],
    "losses/elementwise": [
        (
            '    mean_over = "weights"  # of',
            "    # of",
            "a subclass with an __init__ of its own takes no weights",
        ),
        (
            "            total = float(s.sum()) if self",
            "            total = float(y.size) if self",
            "a weighted loss is divided by the number of entries",
        ),
        (
            "loss, slope = weight * loss, weight * slope",
            "loss = weight * loss",
            "the loss is weighted, its gradient is not",
        ),
        (
            "yes * softplus(-y) + (1 - t) * softplus(y), (1 - t) * p - yes * sigmoid(-y)",
            "yes * softplus(-y) + (1 - t) * softplus(y), w * (p - t)",
            "pos_weight scales the gradient of a no, too",
        ),
        (
            "right = (y > 0) == (t > 0.5)",
            "right = (y > 0.5) == (t > 0.5)",
            "a score above 0 must be above one half to be a yes",
        ),
        (
            "return float(loss.sum()) / total if total else 0.0",
            "return float(loss.sum()) / total",
            "weights that are all 0 divide by zero",
        ),
        ("if len(w) not in (1, t.shape[-1]):", "if False:", "a pos_weight for another number of features is spread"),
        ("if not ((t >= 0) & (t <= 1)).all():", "if ((t < 0) | (t > 1)).any():", "targets of NaN are accepted"),
        (
            "return slope * (float(dloss) / total if total else 0.0)",
            "return slope * (1 / total if total else 0.0)",
            "what the loss is multiplied by is lost",
        ),
        (
            "return c * (e - c / 2), c",
            "return c * (e - c / 2), np.sign(e) * np.minimum(abs(e), 1)",
            "Huber's δ is 1 in its slope",
        ),
    ],
    "losses/classification": [
        (
            'return t.astype(np.float32) if t.dtype.char == "e" else t',
            "return t",
            "probabilities are smoothed in half precision",
        ),
        (
            "_, index, a, _ = self._from_probabilities(y[:, None]",
            "_, index, a, total = self._from_probabilities(y[:, None]",
            "class weights do not count in Z where labels are smoothed",
        ),
        (
            'total = float(count if a is None or self.mean_over == "samples" else a.sum())',
            'total = float(count if s is None or self.mean_over == "samples" else s.sum())',
            "class weights do not count in Z",
        ),
        (
            "count = len(y) if kept is None else np.count_nonzero(kept)",
            "count = len(y)",
            "a mean over samples counts ignored ones",
        ),
        (
            'float(len(q) if s is None or self.mean_over == "samples" else s.sum())',
            "float(len(q) if s is None else s.sum())",
            "beside probabilities a mean over samples is one over weights",
        ),
        (
            "counted = len(y) if s is None and self.ignore_index is None else weight_of(y >= 0, s)",
            "counted = len(y) if s is None else float(s.sum())",
            "the accuracy counts what the loss ignores",
        ),
        (
            "return y if kept is None else np.where(kept, y, -1), index, a, total",
            "return y, index, a, total",
            "an ignored label counts as right where class 0 is predicted",
        ),
        ("            dscores *= float(dloss)", "            pass", "what the loss is multiplied by is lost"),
        (
            "worst = y.view(UINTP).argmax()",
            "worst = y.argmax()",
            "a negative label counts from the end",
        ),
        (
            'gap = np.subtract(x, x.reshape(-1)[index][:, None], order="C")',
            "gap = x - x.reshape(-1)[index][:, None]",
            "the hinge of scores in columns counts the right class",
        ),
        ("~((q >= 0).all(axis=1) & (abs", "~((abs", "negative probabilities that sum to 1 are accepted"),
        (
            "loss, active = weight * loss, weight[:, None] * active",
            "loss = weight * loss",
            "the hinge's gradient is not weighted",
        ),
        (
            "return np.divide(a, total, dtype=np.float64) if total else 0 * a",
            "return np.divide(a, total, dtype=np.float64)",
            "a batch whose labels are all ignored divides by zero",
        ),
        (
            "+ self.label_smoothing / q.shape[1]",
            "+ self.label_smoothing / (q.shape[1] - 1)",
            "smoothed labels sum to more than 1",
        ),
        (
            "            a = a * s[:, None]\n",
            "            a = a * s.mean()\n",
            "beside probabilities all samples weigh the same",
        ),
        (
            "kept = labels.reshape(-1) != ignored",
            "kept = labels.reshape(-1) != abs(ignored)",
            "a negative ignore_index is not known",
        ),
        (
            "        indices[indices != y] = -1",
            "        pass",
            "where an integer has 32 bits, a label of 64 becomes another",
        ),
        (
            't = plain_array(repr(loss), "target", target)',
            "t = np.asarray(target)",
            "a target's mask is lost",
        ),
    ],
    "metrics": [
        ("w.argmax(axis=0)[None]", "np.zeros_like(w[:1], int)", "a constant beside a weight of 0 explains nothing"),
        (
            "(values.mean() if w is None else (w * values).sum() / w.sum())",
            "(values.mean())",
            "the accuracy does not count weights",
        ),
        (
            "np.bincount(true * classes + predicted, w, minlength=classes**2)",
            "np.bincount(true * classes + predicted, minlength=classes**2)",
            "a matrix counts samples where it should add their weights",
        ),
        ("w.reshape(w.shape + (1,) * (len(shape) - w.ndim))", "w", "weights of samples are spread along positions"),
        ("(scores[..., 0] > 0.5)", "(scores[..., 0] >= 0.5)", "a probability of one half is a yes"),
        (
            "np.where(np.arange(C) < y[:, None], ~(scores < label_score), ~(scores <= label_score))",
            "~(scores <= label_score)",
            "all of equal scores are among the highest",
        ),
        (
            "~(scores < label_score), ~(scores <= label_score))",
            "scores >= label_score, scores > label_score)",
            "a score of NaN is a hit",
        ),
        (
            "max(int(true.max()) + 1, int(predicted.max()) + 1, given)",
            "max(int(true.max()) + 1, int(predicted.max()) + 1)",
            "a class that the scores have but nothing is predicted as is left out",
        ),
        (
            "shares @ support / support.sum()]",
            "shares @ predictions / predictions.sum()]",
            "the average is weighted by predictions",
        ),
        (
            "y = y - np.take_along_axis(y, w.argmax(axis=0)[None], axis=0)",
            "y = y",
            "a constant target explains an infinity of nothing",
        ),
        (
            'return cast_array(f"{metric}: {name}", labels.reshape(-1), np.dtype(np.intp))',
            "return labels.reshape(-1)",
            "labels in bytes overflow",
        ),
        (
            'cast_array(f"{metric}: {name}", labels.reshape(-1), np.dtype(np.intp))',
            "labels.reshape(-1).astype(np.intp)",
            "a label that is too large becomes another",
        ),
        (
            'real_array("r2_score: y_true", y_true)',
            "np.asarray(y_true)",
            "what a mask hides is scored",
        ),
        ("if y.min() < 0 or y.max() >= C:", "if y.max() >= C:", "a negative label counts from the end"),
        (
            "_share(2 * correct, predictions + support)",
            "_share(correct, predictions + support - correct)",
            "the f1-score is an intersection over union",
        ),
    ],
    "initializers": [
        ("* inputs, math.prod(positions) * outputs", "* inputs, outputs", "a kernel's fan_out forgets its positions"),
        ("    q *= np.sign(np.diag(r))\n", "", "orthogonal matrices are not drawn uniformly"),
        ("(q if rows >= columns else q.T)", "q", "a matrix that is wider than long is not turned"),
        (
            'math.sqrt(1 / _fans("lecun_normal", shape)[0])',
            'math.sqrt(1 / _fans("lecun_normal", shape)[1])',
            "lecun_normal scales by the outputs",
        ),
        ("    if low > high:", "    if low == high:", "values are drawn from an interval that ends before it begins"),
    ],
    "random": [
        (
            "if isinstance(n, bool) or not isinstance(n, (int, np.integer)):",
            "if not isinstance(n, (int, np.integer)):",
            "True is taken for a seed",
        ),
        (
            "_package().bit_generator.state = np.random.PCG64(",
            "_package.cache_clear()\n    _package().bit_generator.state = np.random.PCG64(",
            "a layer that was made before a seed does not draw from it",
        ),
    ],
}
