"""Faults of optimizers and schedules."""

from __future__ import annotations

UPDATES = {
    "optimizers/optimizer": [
        (
            "        if self.clip_norm < math.inf and (norm := _norm(g)) > self.clip_norm:\n"
            "            g *= self.clip_norm / norm\n"
            "        if self.weight_decay:\n"
            "            self.decay(w, g, lr)\n",
            "        if self.weight_decay:\n"
            "            self.decay(w, g, lr)\n"
            "        if self.clip_norm < math.inf and (norm := _norm(g)) > self.clip_norm:\n"
            "            g *= self.clip_norm / norm\n",
            "weight decay is clipped too",
        ),
        (
            "            if p.decay:\n                g_p +=",
            "            if True:\n                g_p +=",
            "biases decay",
        ),
        (
            "                g[block].fill(0)",
            "                g[:BLOCK].fill(0)",
            "beyond a block the gradient is kept",
        ),
        (
            "*(moment[block] for moment in moments)",
            "*(moment[: len(w[block])] for moment in moments)",
            "beyond a block the moments are those of the first",
        ),
        ('        self.steps = int(arrays["steps"])\n', "", "a schedule starts anew with a state that is loaded"),
        ("name: moment.copy() for name, moment", "name: moment for name, moment", "the state is no copy"),
        ("if p.data is not w or p.grad is not g:", "if p.data is not w:", "a gradient that is assigned is lost"),
        (
            "return math.sqrt(square) if math.isfinite(square) else float(np.linalg.norm(g.astype(np.float64)))",
            "return math.sqrt(square)",
            "a gradient whose square overflows is clipped to 0",
        ),
        (
            "return math.isfinite(square) or bool(np.isfinite(self._g).all())",
            "return math.isfinite(square)",
            "a large finite gradient counts as not finite",
        ),
        ("return list({id(p): p for p in found}.values())", "return found", "a shared parameter is updated twice"),
        ("lr = self.lr_at(self.steps)", "lr = self.lr_at(self.steps + 1)", "a schedule's first step is its second"),
        (
            " or {p.data.dtype, p.grad.dtype} != {w.dtype}:",
            ":",
            "a model whose dtype changes after its optimizer was made is trained in the old one",
        ),
        (" and value != math.inf}", "}", "no limit is printed as an infinite one"),
        (
            'return getattr(value, "__qualname__", type(value).__name__)',
            "return str(value(0)) + getattr(value, '__qualname__', '')",
            "a schedule that draws is called where an optimizer is printed",
        ),
        (
            'if name != "steps" and _is_numbers(value)',
            "if _is_numbers(value)",
            "a run that has taken steps is another one",
        ),
    ],
    "optimizers/first_order": [
        ("step = g + self.momentum * v if", "step = g + v if", "Nesterov looks ahead without μ"),
        ("g /= np.sqrt(v) + self.eps", "g /= np.sqrt(v + self.eps)", "RMSprop's ε is inside the root"),
        ("(np.sqrt(v) + self.eps)", "np.sqrt(v + self.eps)", "Adagrad's ε is inside the root"),
        ("g += root * self.eps", "g += self.eps", "Adam's ε is not corrected as v is"),
        (
            "(beta1, beta2), t = self.betas, self.steps + 1",
            "(beta1, beta2), t = self.betas, max(self.steps, 1)",
            "Adam's second step is corrected as the first",
        ),
        (
            "            if p.decay:\n                w_p *= 1 - lr",
            "            if True:\n                w_p *= 1 - lr",
            "AdamW decays biases",
        ),
        (
            "w_p *= 1 - lr * self.weight_decay",
            "w_p *= 1 - self.lr * self.weight_decay",
            "AdamW's decay has no schedule",
        ),
        ("            g = u\n", "", "RMSprop's momentum is added up and not used"),
    ],
    "optimizers/lbfgs": [
        (
            "rows = [i % len(s) for i in range(max(0, pairs - len(s)), pairs)]",
            "rows = list(range(min(pairs, len(s))))",
            "once the history is full, the newest pair is not the last",
        ),
        ("            self._w[...] = current.w\n", "", "after a closure that fails, w is where the line search looked"),
        ("for p_, w_p, _ in self._views if p_.decay)", "for p_, w_p, _ in self._views)", "the objective decays biases"),
        (
            "        self.steps += 1\n        return current.phi",
            "        return current.phi",
            "a schedule stands still",
        ),
        (
            "            self.decay(self._w, self._g, 1.0)\n",
            "",
            "weight decay is in the objective, not in its gradient",
        ),
    ],
    "optimizers/schedules": [
        ("t = min(step / steps, 1.0)", "t = step / steps", "a linear rate falls below zero after the last step"),
        (
            "return (1 - t) * lr + t * final",
            "return lr + t * (final - lr)",
            "the last rate of a linear decay is rounded",
        ),
        ("min(step / steps, 1.0))", "step / steps)", "the rate rises again after the last step"),
        ("else after(step - steps))", "else after(step))", "after a warmup, the next schedule skips its beginning"),
        (
            "peak, last = warmup * steps - 1, steps - 1",
            "peak, last = warmup * steps, steps - 1",
            "the peak is a step late",
        ),
        ("((step + 1) / steps) if step < steps", "(step / steps) if step < steps", "the first rate of a warmup is 0"),
        ("** (step // every)", "** (step / every)", "a stepwise rate falls at every step"),
    ],
}
