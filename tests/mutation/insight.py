"""Faults of what looks at layers and models: checks, diagnoses and summaries, whose mistakes hide others."""

from __future__ import annotations

INSIGHT = {
    "insight/check_layer": [
        ("        _check_layout(trial, gradients)\n", "", "a layer that misreads columns passes"),
        ("        _check_earlier_pass(trial)\n", "", "a layer that keeps something from the pass before passes"),
        ("        _check_float32(trial)\n", "", "a layer that makes float64 of float32 passes"),
        ("    for trial in (training, evaluation):", "    for trial in (training,):", "evaluation is not checked"),
        (
            "    _check_state(evaluation, untrained=perturb(subject.eval(), rng))\n",
            "",
            "a layer whose statistics are not saved passes",
        ),
        ("            _check_evaluation(trial)\n", "            pass\n", "noise in evaluation passes"),
        ("            _check_loss(trial)\n", "            pass\n", "a loss without a prediction passes"),
        ("[*given, *weights])\n    for name", "weights)\n    for name", "a forward that writes into x passes"),
        (
            "[*given, *weights])\n    for name",
            "given)\n    for name",
            "a forward that writes into a parameter passes",
        ),
        ("        _check_read_only(trial)\n", "", "a write that is undone passes"),
        ("            _check_plain_arrays(trial)\n", "            pass\n", "a weight that nobody trains passes"),
        (".unfreeze()", "", "a frozen layer has no gradients to check"),
        ("state.data.dtype != np.float32:", "False:", "a buffer that a pass makes float64 passes"),
        (
            "            for rng in layer.walk(np.random.Generator).values():\n                rng.random()\n",
            "            pass\n",
            "a mask that stays in memory goes unseen",
        ),
    ],
    "insight/explanations": [
        ("wrong.is_like(wrong.gradient.T)", "wrong.is_like(wrong.gradient)", "a transpose is not told"),
        ("dy[part] = trial.dy[part]", "dy[...] = trial.dy", "the part of one row is not told"),
        ("1e-2 * min(abs(factor - 1), 1)", "CLOSE * 1e9", "anything is a multiple"),
        (
            "parameter.data[...] = parameter.data.T.copy()",
            "parameter.data[...] = parameter.data",
            "W for its transpose is not told",
        ),
    ],
    "insight/inputs": [
        ('0.5 * np.flip(x) if x.dtype.kind == "f" else np.flip(x)', "x", "what is kept of the same x goes unseen"),
        ("    if not array.size:\n", "    if array.size < 0:\n", "x without rows passes"),
        ("members = real", "pass", "integers that a layer computes with have no gradient"),
        ("    array.flags.writeable = False\n", "", "a backward that writes into dy for a while passes"),
    ],
    "insight/plain_arrays": [
        ("        return []  # it draws", "        pass  # it draws", "what is random is a dependence on any array"),
        (
            "any(_same(array, value) for value in passed)",
            "False",
            "a dx that is kept is taken for a gradient of a mask",
        ),
        (
            "        if not _same(trace.outputs, _Trace(model, run, candidates, moved=(name, path)).outputs)\n",
            "",
            "what y does not depend on is named",
        ),
        (
            "        or (path in one and path in other and not _same(one[path], other[path]))\n",
            "",
            "a weight without a gradient beside it is a constant",
        ),
        ("copied.clear_cache()", "pass", "a cache is an array that stays"),
    ],
    "insight/rebuilding": [
        ("        package.state = states[0]\n", "", "the package's generator moves"),
        ("        np.random.set_state(states[1])  # noqa: NPY002\n", "", "NumPy's global generator moves"),
        ("bound.arguments[name] = generator(i)", "pass", "what a generator that is handed in draws is a constant"),
        ("copy.deepcopy(args)", "args", "the arguments of a layer are changed by a check"),
        (
            "    if not doubles or np.float32 in states.values():",
            "    if not doubles or True:",
            "a model in float64 is accused",
        ),
    ],
    "insight/report": [
        ("*table(rows), *notes]", "*table(rows)]", "notes are not printed"),
    ],
    "insight/trial": [
        (
            "rng.normal(size=y.shape) if isinstance(y, Array)",
            "np.ones(y.shape) if isinstance(y, Array)",
            "an upstream gradient of ones hides what sums to zero",
        ),
        (
            "        moved += np.where(moved == 0, rng.normal(0, 0.5, moved.shape), 0)\n",
            "",
            "a bias of 0 hides mistakes",
        ),
        ("p.data * rng.uniform(0.5, 1.5, p.data.shape)", "p.data", "a gamma of 1 hides mistakes"),
        (
            "not (np.abs(got - expected) <= tolerance).all()",
            "(np.abs(got - expected) > tolerance).any()",
            "NaN is the same as anything",
        ),
        ("part.shape != array.shape", "part.size != array.size", "a dx of another shape passes"),
        ("or len(dx) != len(x)", "or len(dx) < len(x)", "one gradient too many passes"),
        (
            "counts[watch.name] > 1 and not watch.name.startswith(outer)",
            "counts[watch.name] > 1",
            "the layers in one that is called twice are named too",
        ),
        ("np.shape(got) != np.shape(expected) or ", "", "a y of another shape is spread"),
    ],
    "insight/differences": [
        ("TOLERANCE = 1e-6", "TOLERANCE = 1e-3", "an error of a thousandth passes"),
        (
            "[*moves, _direction(array, rng)] if large else moves",
            "moves",
            "an entry of a large array that is not in the sample is not checked",
        ),
        ("SHRINKS = (1, 8, 64, 512)", "SHRINKS = (1,)", "a kink within a step is called wrong"),
        ("4 * rms(np.array(changes))", "0.0", "a bias in front of thirty batch norms is accused"),
        ("SHRINKS + FURTHER", "SHRINKS", "what is steeper than the steps are small is accused"),
        ("SETTLED = 1 / 64", "SETTLED = 1 / 2", "a wrong gradient passes where it is steep"),
        ("before = np.array(array[where])", "before = array[where]", "a large array is left moved"),
        (
            "if lowest - allowed <= analytic <= highest + allowed:",
            "if highest - lowest > allowed:",
            "on a kink any gradient is right",
        ),
    ],
    "insight/diagnose": [
        (
            "if untrained or shared:",
            "if untrained:",
            "what follows from a shared cache is said too",
        ),
        (
            "learned = loss < (chance[1] if chance else equal_scores or 0.0) / 2",
            "learned = False",
            "a model that has learned is told to raise its learning rate",
        ),
        (
            "rows = np.unique(np.linspace(0, len(observation.y) - 1, SAMPLES).astype(int))",
            "rows = np.arange(min(len(observation.y), SAMPLES))",
            "the first of sorted samples are all of one class",
        ),
    ],
    "insight/diagnosis": [
        (
            "(zero_output & ~zero_input).mean()",
            "zero_output.mean()",
            "units that are given nothing but 0 are called dead",
        ),
    ],
    "insight/findings": [
        ("FADED if slow else VANISHED", "VANISHED", "the gradient of a few sigmoids is said to be enough"),
        ("for p in dict.fromkeys(parameters))", "for p in parameters)", "what two layers share counts twice"),
        ("if ratio and watch.own[name].decay:", "if ratio:", "the first bias tells of a learning rate too high"),
        ("after > LARGE * max(before, 1.0)", "after > LARGE", "the layer after the one that enlarges is blamed too"),
    ],
    "insight/targets": [
        ("cuts and after.layer.takes_scores", "cuts", "a ReLU in front of a Linear is told to be left out"),
        ("LARGE * max(rms(given), 1.0)", "LARGE", "a model that gives targets of that size is told to scale them"),
        (" and _gives_back(watch):", ":", "counts are told to be scaled to the size of their logarithms"),
        ("highs[-1] <= high + margin", "highs[-1] >= high", "nothing above what a ReLU was given is in its reach"),
        ("return chain if any(watch.own for watch in called) else []", "return []", "no target is out of reach"),
    ],
    "insight/shared": [
        (" and watch.returns > 1", "", "a call that no backward answers is a fault"),
        ("if several and outermost and", "if several and", "the layers inside a shared one are accused too"),
        (
            "for script in (STACK, QUEUE):",
            "for script in (STACK,):",
            "who answers calls in order is accused",
        ),
        (
            "            if _agree(_gradients(layer, inputs, script), expected):\n                return False\n",
            "            pass\n",
            "a layer that keeps all of its calls is accused",
        ),
    ],
    "insight/experiments": [
        (
            "            except Exception:  # it expects probabilities, or divides",
            "            except TypeError:  # it expects probabilities, or divides",
            "a loss that can't be given zeros ends the diagnosis",
        ),
        (
            "loss, rate = reached, rate * GROWTH",
            "loss, rate = reached, rate",
            "a small rate stays small",
        ),
    ],
    "insight/gradients": [
        ("TOLERANCE = 1e-2", "TOLERANCE = 1.0", "a gradient that is wrong by a factor is right"),
        ("TOLERANCE_AT_ONCE = 1e-6", "TOLERANCE_AT_ONCE = 1e-1", "the error of one array is lost among those of all"),
        (
            "odd = slope if slope.on_kink and again.on_kink else odd",
            "odd = odd",
            "a wrong gradient on a kink of the loss is called right",
        ),
        ("            array += OFF_KINK", "            array += 0", "on a kink any gradient is right"),
        (
            "return here.wrong and math.isfinite(here.numeric)",
            "return here.wrong",
            "a right gradient is called wrong where the loss has no value",
        ),
        ("LARGER = 1e3", "LARGER = 1.0", "a layer that computes in float32 by itself is accused of rounding"),
        (
            "largest / size * _scale(array)",
            "_scale(array)",
            "what has vanished is lost among larger gradients",
        ),
        (
            "        except Exception:  # it expects probabilities, or divides",
            "        except ValueError:  # it expects probabilities, or divides",
            "a layer that can't be given other values ends the diagnosis",
        ),
        ("if w.caller is watch and w.calls == 1]", "if w.caller is watch]", "a layer that is called twice is held"),
        ("return _about_writing(watch, writers) or ", "return ", "a layer is accused of what another has overwritten"),
    ],
    "insight/alone": [
        ("            w.held = None\n", "            pass\n", "a layer gives what it has once given from then on"),
        (
            "self.gradients = _drawn(self.y)",
            "self.gradients = self.gradients",
            "behind dead units nothing can be found",
        ),
        ("if id(p) not in theirs and is_trained(p):", "if id(p) not in theirs:", "a frozen parameter is accused"),
        ("self.depends[self.watch][0][i]:", "True:", "a gradient that nobody uses is accused"),
        ("(watch.gradients or 1.0) if watch.returns else None", "watch.gradients or 1.0", "a detached part is right"),
    ],
    "insight/observation": [
        (
            "[*self.model.walk(np.random.Generator).values(), generator()]",
            "[*self.model.walk(np.random.Generator).values()]",
            "a diagnosis draws from the package's generator",
        ),
        (
            "copy.deepcopy(model).train()",
            "copy.deepcopy(model)",
            "the mode is the model's",
        ),
        ("p.data, p.grad = (writable", "_, _ = (writable", "a parameter of one number can't be moved"),
        ("self.gradients = copied(given)", "self.gradients = given", "a gradient that is overwritten is lost"),
        ("                _locate(error, *self.active[-1])\n", "                pass\n", "an error names no layer"),
        ("if id(p) not in theirs}", "}", "a layer's parameters are those of the layers inside it too"),
    ],
    "insight/arrays": [
        (
            "float(np.linalg.norm(array.astype(np.float64).reshape(-1)))",
            "float(np.linalg.norm(array.reshape(-1)))",
            "a norm whose square overflows is infinite",
        ),
        ("np.mean(np.square(array, dtype=np.float64))", "np.mean(np.square(array))", "a mean square overflows"),
    ],
    "insight/table": [
        ("cell.rjust(width) if i in right else cell.ljust(width)", "cell.ljust(width)", "numbers are not aligned"),
        (").rstrip()", ")", "lines of a table end in spaces"),
    ],
    "insight/summary": [
        ("0 if passed_on else y.nbytes", "y.nbytes", "an output that is passed on counts twice"),
        ("model = copy.deepcopy(model).eval()", "model = copy.deepcopy(model)", "batch norm refuses the sample"),
        ("parameter.data.size * parameter.frozen", "parameter.data.size", "all parameters are frozen"),
        (
            "rng.normal(size=part.shape).astype(part.dtype) if is_float_array(part) else part",
            "part",
            "of a sample of zeros, y does not depend on a weight",
        ),
        ("counts[holder] += parameter.data.size", "counts[holder] += len(parameter.data)", "matrices count as vectors"),
        (
            "        except TypeError:\n            return summary",
            "        except ValueError:\n            return summary",
            "a model of ids has no summary",
        ),
    ],
}
