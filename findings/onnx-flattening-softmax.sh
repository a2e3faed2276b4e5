#!/usr/bin/env bash
# onnx 1.23.2 with onnxruntime 1.32.0 and numpy 2.4.6: Softmax and Hardmax of opsets before 13, three tools, three readings.
#
# Behaviour: before opset 13 these operators flatten x to two axes at `axis` (1 by default) and normalize over all that is
#   behind it. onnxruntime does so. onnx.reference normalizes over the one axis, or the last, as from opset 13 on.
#   onnx.version_converter to opset 13 puts a Flatten and a Reshape around Softmax, rightly, and leaves Hardmax as it is, so
#   that onnxruntime gives another result after the conversion. All models pass the checker.
# Surprise: the reference evaluator is what one tests an exporter or a runtime against, and it follows the operator's version
#   elsewhere. Whoever checks a conversion with it finds the right one (Softmax) to be wrong, and the wrong one (Hardmax) to
#   be right. Inputs with two axes, as most classifiers', hide it all.
# What to do: export axis=-1 always: it means the same in every opset. For older files, trust onnxruntime before opset 13.
# Seen: the text after `expected` below.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 protobuf==7.36.2 ml_dtypes==0.6.0

seen=$("$dir/venv/bin/python" <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, version_converter
from onnx.reference import ReferenceEvaluator

data = np.log(np.array([[[1, 2], [3, 4]]], dtype=np.float32))
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2, 2]) for name in "xy")
for node in ("Softmax", "Hardmax"):
    for axis in ({}, {"axis": -1}):
        graph = helper.make_graph([helper.make_node(node, ["x"], ["y"], **axis)], "g", [x], [y])
        old = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
        for opset, model in ((11, old),) if axis else ((11, old), (13, version_converter.convert_version(old, 13))):
            onnx.checker.check_model(model, full_check=True)
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            for tool in (session, ReferenceEvaluator(model)):
                values = " ".join(f"{v:.2f}" for v in tool.run(None, {"x": data})[0].ravel())
                print(node, axis.get("axis", "default"), opset, type(tool).__name__, values)
PY
)
expected='Softmax default 11 InferenceSession 0.10 0.20 0.30 0.40
Softmax default 11 ReferenceEvaluator 0.33 0.67 0.43 0.57
Softmax default 13 InferenceSession 0.10 0.20 0.30 0.40
Softmax default 13 ReferenceEvaluator 0.10 0.20 0.30 0.40
Softmax -1 11 InferenceSession 0.33 0.67 0.43 0.57
Softmax -1 11 ReferenceEvaluator 0.33 0.67 0.43 0.57
Hardmax default 11 InferenceSession 0.00 0.00 0.00 1.00
Hardmax default 11 ReferenceEvaluator 0.00 1.00 0.00 1.00
Hardmax default 13 InferenceSession 0.00 1.00 0.00 1.00
Hardmax default 13 ReferenceEvaluator 0.00 1.00 0.00 1.00
Hardmax -1 11 InferenceSession 0.00 1.00 0.00 1.00
Hardmax -1 11 ReferenceEvaluator 0.00 1.00 0.00 1.00'
diff <(echo "$expected") <(echo "$seen") || { echo "changed: < as stated, > seen now"; exit 1; }
echo "as stated"
