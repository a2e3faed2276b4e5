"""Faults of what looks at layers and models: checks, diagnoses and summaries, whose mistakes hide others."""

from __future__ import annotations

LOOKING = {
    "insight/check_layer": [
        ("        _check_layout(trial, gradients)\n", "", "a layer that misreads columns passes"),
        ("        _check_earlier_pass(trial)\n", "", "a layer that keeps something from the pass before passes"),
        ("        _check_float32(trial)\n", "", "a layer that makes float64 of float32 passes"),
        ("    for trial in (training, evaluation):", "    for trial in (training,):", "evaluation is not checked"),
        (
            "    _check_state(evaluation, untrained=moved_off(subject.eval(), rng))\n",
            "",
            "a layer whose statistics are not saved passes",
        ),
        ("            _check_evaluation(trial)\n", "            pass\n", "noise in evaluation passes"),
        ("            _check_loss(trial)\n", "            pass\n", "a loss without a prediction passes"),
        ("[*handed, *weights])\n    for name", "weights)\n    for name", "a forward that writes into x passes"),
        (
            "[*handed, *weights])\n    for name",
            "handed)\n    for name",
            "a forward that writes into a parameter passes",
        ),
        ("0.5 * np.flip(x) if trial.x else np.flip(x)", "x", "what is kept of the same x goes unseen"),
    ],
    "insight/trial": [
        (
            "rng.normal(size=y.shape) if isinstance(y, Array)",
            "np.ones(y.shape) if isinstance(y, Array)",
            "an upstream gradient of ones hides what sums to zero",
        ),
        (
            "        p.data += np.where(p.data == 0, rng.normal(0, 0.5, p.data.shape), 0)\n",
            "",
            "a bias of 0 hides mistakes",
        ),
        ("        p.data *= rng.uniform(0.5, 1.5, p.data.shape)\n", "", "a gamma of 1 hides mistakes"),
        (
            "not (np.abs(got - expected) <= tolerance).all()",
            "(np.abs(got - expected) > tolerance).any()",
            "NaN is the same as anything",
        ),
        ("dx.shape != self.inputs[0].shape", "dx.size != self.inputs[0].size", "a dx of another shape passes"),
        ("np.shape(got) != np.shape(expected) or ", "", "a y of another shape is spread"),
    ],
    "insight/differences": [
        ("TOLERANCE = 1e-6", "TOLERANCE = 1e-3", "an error of a thousandth passes"),
        (
            "            moves.append((..., scale * self.rng.normal(size=array.shape)))\n",
            "            pass\n",
            "an entry of a large array that is not in the sample is not checked",
        ),
        ("SHRINKS = (1, 8, 64, 512)", "SHRINKS = (1,)", "a kink within a step is called wrong"),
        ("before = np.array(array[where])", "before = array[where]", "a large array is left moved"),
        (
            "if lowest - tolerance <= given <= highest + tolerance:",
            "if highest - lowest > tolerance:",
            "on a kink any gradient is right",
        ),
    ],
    "insight/diagnose": [
        ("(silent & ~idle).mean()", "silent.mean()", "units that are given nothing but 0 are called dead"),
        (
            "learned=loss < (chance[1] if chance else zero or 0.0) / 2",
            "learned=False",
            "a model that has learned is told to raise its learning rate",
        ),
        ("if ratio and watch.own[name].decay:", "if ratio:", "the first bias tells of a learning rate too high"),
        (
            "rows = np.unique(np.linspace(0, len(x) - 1, SAMPLES).astype(int))",
            "rows = np.arange(min(len(x), SAMPLES))",
            "the first of sorted samples are all of one class",
        ),
        ("after > LARGE * max(before, 1.0)", "after > LARGE", "the layer after the one that enlarges is blamed too"),
    ],
    "insight/observation": [
        (
            "[*self.model.walk(np.random.Generator).values(), generator()]",
            "[*self.model.walk(np.random.Generator).values()]",
            "a diagnosis draws from the package's generator",
        ),
        (
            "float(np.linalg.norm(array.astype(np.float64).reshape(-1)))",
            "float(np.linalg.norm(array.reshape(-1)))",
            "a norm whose square overflows is infinite",
        ),
        (
            "if abs(taken - given) <= allowed or beside or abs(left - right) <= allowed:",
            "if True:",
            "a gradient on a kink is called wrong",
        ),
        ("np.mean(np.square(array, dtype=np.float64))", "np.mean(np.square(array))", "a mean square overflows"),
        (
            "copy.deepcopy(model).train(), x, y, weights",
            "copy.deepcopy(model), x, y, weights",
            "the mode is the model's",
        ),
    ],
    "insight/summary": [
        ("0 if handed_on else y.nbytes", "y.nbytes", "an output that is handed on counts twice"),
        ("model = copy.deepcopy(model).eval()", "model = copy.deepcopy(model)", "batch norm refuses the sample"),
        ("counts[holder] += parameter.data.size", "counts[holder] += len(parameter.data)", "matrices count as vectors"),
        (
            "        except TypeError:\n            return summary",
            "        except ValueError:\n            return summary",
            "a model of ids has no summary",
        ),
    ],
}
