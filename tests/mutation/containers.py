"""Faults of what a layer is, of layers made of layers, and of what arguments are refused."""

from __future__ import annotations

CONTAINERS = {
    "layers/containers": [
        (
            "            first_trained = self._first_trained()\n",
            "            pass\n",
            "a parameter that was assigned to a layer in front later gets no gradient",
        ),
        (
            "again = self._searched_after is not freezing.last",
            "again = False",
            "backward ends where it ended before another part was frozen or unfrozen",
        ),
        (
            "return None if dx is None else dx + dy",
            "return None if dx is None else np.add(dx, dy, out=dx)",
            "a residual around a layer that hands dy on writes into the caller's dy",
        ),
        ("yield from _leaves(layer)", "yield layer", "a softmax within a part is not seen in front of the loss"),
        ("return x.astype(y.dtype, copy=False) + y", "return x + y", "float64 data make all that follows float64"),
    ],
    "layers/inner": [
        (
            "any(not parameter.frozen for parameter in layer.parameters())",
            "not layer.frozen and any(not parameter.frozen for parameter in layer.parameters())",
            "backward does not reach a part of a frozen body that was unfrozen again",
        ),
        (
            "for inner in layer.walk(Layer).values():",
            "for inner in (layer,):",
            "a layer that is in two places further down is not refused",
        ),
        (
            "        finally:\n            del layer.input_gradient",
            "        except ZeroDivisionError:\n            raise\n        del layer.input_gradient",
            "after a backward that fails, the layer gives no dx any more",
        ),
        ("if layer.joins_steps or target:", "if target:", "lengths are handed on behind the last step"),
        ('            own["cache"] = kept[0]', "            pass", "a step in between takes the cache from backward"),
    ],
    "layers/branches": [
        ("dtype = min(floating,", "dtype = max(floating,", "a branch that hands on float64 makes all of it float64"),
        (
            "all(branch.joins_steps",
            "any(not branch.joins_steps",
            "branches that join the steps are said not to",
        ),
        ("return tuple(gradients) if", "return gradients if", "the gradients of several parts of x are no tuple"),
    ],
    "layers/padded": [
        (
            "            dy = without_padding(dy, lengths)\n",
            "",
            "what is said of the padding's outputs moves the parameters",
        ),
        (
            "super().forward(without_padding(x, lengths), target",
            "super().forward(x, target",
            "ids in the padding must be ids",
        ),
    ],
    "layer": [
        ("name: state.data.copy() for name, state", "name: state.data for name, state", "the state is no copy"),
        ("own[name].data[...] = array", "own[name].data = array", "a state is not loaded in place"),
        (
            '            if buffer.data.dtype.kind == "f":\n                buffer.data',
            "            if True:\n                buffer.data",
            "a counter becomes a float with the dtype of the model",
        ),
        (
            '        state.pop("cache", None)\n',
            "",
            "a copy takes the cache along",
        ),
        (
            'astype(dtype or (x.dtype if x.dtype.char in "fd" else np.float32), copy=False)',
            'astype(dtype or (x.dtype if x.dtype.char in "fd" else np.float64), copy=False)',
            "integers become float64",
        ),
        (
            "            self.clear_cache()\n            if not str(error)",
            "            if not str(error)",
            "after a forward that failed, backward works from the one before",
        ),
        (
            "parameter.grad = np.array(parameter.grad, dtype)",
            "parameter.grad = np.zeros_like(parameter.data)",
            "a change of the dtype loses the gradients",
        ),
        (
            "return self._training and not thread.evaluating",
            "return self._training",
            "a layer that is reached through a function predicts in training mode",
        ),
        (
            "layer.training = mode and not layer.frozen",
            "layer.training = mode",
            "running statistics of what is frozen move in fit",
        ),
        (
            "parameter.frozen, parameter.grad = frozen, np.zeros_like(parameter.data)",
            "parameter.frozen = frozen",
            "a gradient from before freeze() is there after unfreeze()",
        ),
        ('x.dtype.char not in "fd" if dtype', 'x.dtype.kind != "f" if dtype', "half precision is computed in"),
    ],
    "calls": [
        (
            "container._shares = other._shares = True",
            "container._shares = True",
            "a container does not notice that a slice of it has called its layers since",
        ),
        (
            "        if self.calls in (0, 1):\n",
            "        if True:\n",
            "a layer that was called twice gives the gradient of its last call twice",
        ),
        (
            "guard.calls, guard.answered = max(guard.calls, 0) + 1, None",
            "guard.calls, guard.answered = guard.calls + 1, None",
            "a layer that is called twice in every step is told in the first alone",
        ),
        (
            "        if parameter.frozen:\n",
            "        if True:\n",
            "a part that was unfrozen in a frozen body gets no gradient",
        ),
        (
            "self.calls == ANSWERED and cache is self.answered:",
            "self.calls == ANSWERED:",
            "a layer that is used at every time step, with a cache kept for each, is refused",
        ),
    ],
    "naming": [
        ("return text if ", "return text if True or ", "an error begins with the many lines of a model"),
    ],
    "layers/lengths": [
        ("np.arange(T) < lengths[:, None]", "np.arange(T) <= lengths[:, None]", "the step behind the end counts"),
    ],
    "parts": [
        ("and any(getattr(part,", "and all(getattr(part,", "lengths in a list make one array of x"),
    ],
    "later": [
        ('{*vars(sys.modules["minnet"]), *FILES}', 'vars(sys.modules["minnet"])', "diagnose is not completed"),
    ],
    "foreign": [
        (
            '        raise ImportError(text, name="minnet")\n',
            "        pass\n",
            "who imports a name from elsewhere is not told what it is called here",
        ),
        ("    if name not in NAMES:\n", "    if False:\n", "a name that nobody knows is a KeyError"),
        (
            " or any(parameter.kind is parameter.VAR_KEYWORD",
            " and any(parameter.kind is parameter.VAR_KEYWORD",
            "a layer of one's own may not name an argument like another framework",
        ),
    ],
    "state": [
        (
            "[name for name in own if name in state and name not in fits]",
            "[]",
            "a state of another shape is left out without a word",
        ),
        ("[name for name in state if name not in own]", "[]", "a state with more arrays than the model has is loaded"),
    ],
    "parameter": [
        (
            "writable(v) if isinstance(v, Array) else v",
            "v",
            "a model that came to a worker with read-only arrays does not train",
        ),
        (
            "isinstance(self.grad, Array) and self.grad.flags.writeable",
            "isinstance(self.grad, Array)",
            "a gradient that is read-only is not set to zero",
        ),
        (
            'real_array("Parameter", data).astype(np.float32)',
            'real_array("Parameter", data).astype(np.float32, copy=False)',
            "training writes into the array that a parameter was made from",
        ),
        (
            "            self.grad[rows] += sums\n",
            "            self.grad[ids.reshape(-1)] += dy.reshape(ids.size, *self.data.shape[1:])\n",
            "an id that is repeated counts once",
        ),
        (
            "sums[np.searchsorted(places, first)] += np.add",
            "sums[np.searchsorted(places, again[starts])] += np.add",
            "where ids come again the gradient goes to another row",
        ),
        (
            '            vars(self)["grad"][self._rows] = self._sums\n',
            "            pass\n",
            "whoever reads the gradient of a sparse parameter gets zeros",
        ),
        (
            '            vars(self)["grad"][rows] += sums\n',
            '            vars(self)["grad"][rows] = sums\n',
            "a gradient that was read is forgotten by the next backward",
        ),
        (
            "np.append(self._rows, rows), np.append(self._sums, sums, axis=0)",
            "rows, sums",
            "a second backward of a sparse parameter replaces the first",
        ),
        (
            "rows = np.flatnonzero(self._touched | matrix.any(axis=1))",
            "rows = np.flatnonzero(self._touched)",
            "what was added to the whole gradient is not applied",
        ),
        (
            "        rows = np.flatnonzero(self._touched | matrix.any(axis=1))",
            "        rows = np.flatnonzero(matrix.any(axis=1))",
            "a row whose gradient is 0 waits if somebody looks at it",
        ),
        (
            "            super().zero_grad()\n",
            "            pass\n",
            "a gradient that was read is applied again",
        ),
    ],
    "tree": [
        ("elif isinstance(value, (list, tuple)):", "elif isinstance(value, list):", "layers in a tuple are refused"),
        (
            "    return kinds <= DATA or (",
            "    return True or (",
            "the layers of a long list are not found",
        ),
    ],
    "errors": [
        ("(RuntimeError, AttributeError)", "(RuntimeError)", "hasattr of a cache that is not there raises"),
    ],
    "arguments": [
        ("if not 0 <= value < below:", "if value < 0 or value >= below:", "NaN is taken for a number in range"),
        (
            "if isinstance(value, bool) or not isinstance(value, (int, np.integer)):",
            "if not isinstance(value, (int, np.integer)):",
            "True is taken for 1",
        ),
        (
            "if name in got and got[name].shape != expected[name].shape:",
            "if name in got and got[name].size != expected[name].size:",
            "an array of another shape, but as many entries, is loaded",
        ),
        ('expected[name].dtype, "same_kind")', 'expected[name].dtype, "unsafe")', "floats are loaded into integers"),
        (
            '    problems += [f"unexpected {name} {got[name].shape}" for name in got if name not in expected]\n',
            "",
            "a state with more arrays than the model has is loaded",
        ),
        (
            "if dy.shape == shape:",
            "if dy.ndim == len(shape):",
            "a dy of one row is taken for that of all rows",
        ),
        ("if not math.isfinite(value):", "if math.isinf(value):", "NaN is taken for a number of any sign"),
        ("if not 0 < value < math.inf:", "if not 0 <= value < math.inf:", "an epsilon of 0 is accepted"),
        ("if not 0 <= value <= 1:", "if not 0 <= value < 1:", "a share of all is refused"),
        ("and np.ma.is_masked(part):", "and part is data:", "masks of rows are lost"),
        (
            "isinstance(data, tuple) and any(",
            "isinstance(data, tuple) and not any(",
            "two inputs of equal shapes are taken for rows",
        ),
        (
            "not all(isinstance(value, str) for value in array.flat)",
            "False",
            "objects are data until somebody computes with them",
        ),
        ("if lost.size:", "if False:", "a value becomes infinite unseen where the processor has no flags"),
        ('for name in ("iloc", "toarray",', 'for name in ("toarray",', "a Series is read in slices of its labels"),
        (
            "isinstance(array, Array) and array.flags.writeable else",
            "isinstance(array, Array) else",
            "what can't be written to is written to",
        ),
    ],
}
