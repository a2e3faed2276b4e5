"""Faults of optimizers and schedules."""

from __future__ import annotations

UPDATES = {
    "optimizers/optimizer": [
        (
            "        if self.clip_norm < math.inf and (norm := _norm(self, g)) > self.clip_norm:\n"
            "            g *= self.clip_norm / norm\n"
            "        if self.weight_decay:\n"
            "            self.decay(w, g, lr)\n",
            "        if self.weight_decay:\n"
            "            self.decay(w, g, lr)\n"
            "        if self.clip_norm < math.inf and (norm := _norm(self, g)) > self.clip_norm:\n"
            "            g *= self.clip_norm / norm\n",
            "weight decay is clipped too",
        ),
        (
            "            if p.decay:\n                g_p +=",
            "            if True:\n                g_p +=",
            "biases decay",
        ),
        (
            "        update(w, g, lr, *moments)\n        g.fill(0)\n",
            "        update(w, g, lr, *moments)\n        optimizer._g[:BLOCK].fill(0)\n",
            "beyond a block the gradient is kept",
        ),
        (
            "        for start in range(0, len(optimizer._w), BLOCK):\n"
            "            yield [vector[start : start + BLOCK] for vector in vectors]\n",
            "        for start in range(0, len(optimizer._w), BLOCK):\n"
            "            w, g, *moments = vectors\n"
            "            part = slice(start, start + BLOCK)\n"
            "            yield [w[part], g[part], *(moment[: len(w[part])] for moment in moments)]\n",
            "beyond a block the moments are those of the first",
        ),
        ("yield [vector[start:end].reshape(w.shape)", "yield [vector[start:end]", "a rule of a matrix gets a row"),
        (
            "                if scale < 1:\n                    g *= scale\n",
            "",
            "where a parameter is sparse nothing is clipped",
        ),
        (
            "                if optimizer.weight_decay:\n                    optimizer.decay(w, g, lr)\n",
            "",
            "where a parameter is sparse nothing decays",
        ),
        (
            "        optimizer._views = views\n",
            "        pass\n",
            "after a step of some rows, weight decay goes on with these",
        ),
        ("            segment.clear()\n", "", "the gradient of a sparse parameter is applied twice"),
        (
            " and type(self).update is not Optimizer.update\n",
            "\n",
            "L-BFGS does not see the gradient of a sparse parameter",
        ),
        ('        self.steps = int(arrays["steps"])\n', "", "a schedule starts anew with a state that is loaded"),
        ("name: moment.copy() for name, moment", "name: moment for name, moment", "the state is no copy"),
        (
            "    if math.isfinite(square):\n        return math.sqrt(square)\n",
            "    return math.sqrt(square)\n",
            "a gradient whose square overflows is clipped to 0, and an infinite one to NaN",
        ),
        (
            "g.astype(np.float64) / largest)) if",
            "g.astype(np.float64))) if",
            "a gradient whose square overflows is clipped to nearly nothing",
        ),
        (
            'vars(self)["lr"] = lr if callable(lr) else self._checked_lr(lr)',
            'vars(self)["lr"] = lr',
            "a learning rate of less than 0 climbs",
        ),
        (
            "            self._g.fill(DROPPED)\n",
            "            pass\n",
            "an optimizer that is made after backward does nothing, and says nothing",
        ),
        (
            "            self._make_writable()\n",
            "            pass\n",
            "moments that came along read-only stop a training",
        ),
        ("lr = self.lr_at(self.steps)", "lr = self.lr_at(self.steps + 1)", "a schedule's first step is its second"),
        (" and value != math.inf}", "}", "no limit is printed as an infinite one"),
        (
            'if name != "steps" and _is_numbers(value)',
            "if _is_numbers(value)",
            "a run that has taken steps is another one",
        ),
    ],
    "optimizers/vectors": [
        ("if p.data is not w or p.grad is not g:", "if p.data is not w:", "a gradient that is assigned is lost"),
        (
            "return math.isfinite(square) or bool(np.isfinite(g).all())",
            "return math.isfinite(square)",
            "a large finite gradient counts as not finite",
        ),
        ("return list({id(p): p for p in trained}.values())", "return trained", "a shared parameter is updated twice"),
        (
            " or data.dtype != w.dtype:",
            ":",
            "a model whose dtype changes after its optimizer was made is trained in the old one",
        ),
        (
            "np.asarray(value, dtype if type(value) in (int, float) else None)",
            "np.asarray(value)",
            "a gradient of 0 that is an int is refused",
        ),
        ("    if p.frozen:\n        raise", "    if False:\n        raise", "a frozen parameter is trained on"),
        ("if not p.frozen]):", "]):", "a frozen parameter gets weight decay"),
        (
            "    w.flags.writeable = g.flags.writeable = True  # both",
            "    pass  # both",
            "what was made read-only can't be assigned",
        ),
        (" or dtype.itemsize < 4:", ":", "half precision is trained, and Adam's ε is 0 in it"),
    ],
    "optimizers/segments": [
        (
            "            for table, each in zip(tables, taken):\n                table[at] = each\n",
            "            self.w[at] = w\n",
            "the moments of a sparse parameter stay zero",
        ),
        (
            "        self.parameter.zero_grad()\n",
            "        self.g.fill(0)\n",
            "the rows of the last step move in the next",
        ),
        (
            "at, g = rows[start : start + count], sums[start : start + count]",
            "at, g = rows[start : start + count], sums[: len(rows[start : start + count])]",
            "beyond a block of rows the gradient is that of the first",
        ),
        (
            "found[-1] = Ordinary([*found[-1].views, view]",
            "found[-1] = Ordinary([view]",
            "weight decay reaches the last of several parameters only",
        ),
    ],
    "optimizers/first_step": [
        ("DROPPED = -0.0", "DROPPED = 0.0", "backward, then an optimizer, then step: nothing happens"),
        (
            "if g.size and not g.any() and np.signbit(g).all():",
            "if np.signbit(g).all():",
            "a gradient that is negative everywhere is refused",
        ),
        (
            "if optimizer.update(w, g, lr, *moments) is not None:",
            "if optimizer.update(w, g, lr, *moments) is ...:",
            "a new w is returned to nobody",
        ),
        (
            "            self.moved = True\n",
            "            pass\n",
            "a rule that leaves some parameters alone is accused of leaving all",
        ),
        ("if self.stuck and not self.moved:", "if False:", "an update that makes a new w never updates"),
        ("    w = np.zeros_like(g)\n", "    w = np.ones_like(g)\n", "an update that is lost in rounding is accused"),
        ("update(w, g, 1.0, *(", "update(w, g, 0.0, *(", "an update whose learning rate is 0 is accused"),
        (
            " or not np.array_equal(*own[id(array)], equal_nan=True):",
            ":",
            "an array of one's own that is changed in place mixes up parameters",
        ),
        (
            'if array.size == size and array.dtype.kind == "f")',
            'if array.dtype.kind == "f")',
            "an array of norms is taken for a moment",
        ),
        (
            "    if any(p.grad.any() for p in optimizer.parameters):",
            "    if False:",
            "a step of one's own piles up gradients",
        ),
        ("if callable(optimizer.lr) and not optimizer.steps:", "if False:", "a step of one's own has one rate forever"),
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
        ("        self._make_writable()\n", "", "pairs that came along read-only stop a training"),
        (
            "return _positive(super()._checked_lr(lr))",
            "return super()._checked_lr(lr)",
            "a line search that tries nothing",
        ),
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
        (
            "product.factor = self.factor * self._checked(factor)",
            "product.factor = self._checked(factor)",
            "a rate that is halved twice is halved once",
        ),
        ("return self * (1 / self._checked(divisor))", "return self * divisor", "a rate that is divided grows"),
        (
            'return getattr(value, "__qualname__", type(value).__name__)',
            "return str(value(0)) + getattr(value, '__qualname__', '')",
            "a schedule that draws is called where an optimizer is printed",
        ),
    ],
}
