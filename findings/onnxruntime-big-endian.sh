#!/usr/bin/env bash
# onnxruntime 1.32.0 with numpy 2.4.6: a big-endian array is taken as float32 and read the wrong way round.
#
# Behaviour: run takes an array of dtype >f4 where a float32 is wanted and computes with its bytes in the machine's (little-
#   endian) order: 1.0 becomes 4.6e-41. OrtValue.ortvalue_from_numpy does so too. No error.
# Surprise: the same call is strict about types, it refuses float64 for float32 and int32 for int64 ("Unexpected input data
#   type"), so whatever it takes seems to be right. To NumPy a >f4 array is just another float32 array: equal, added and
#   multiplied as any other; and onnx's own reference evaluator refuses it in the same model, for its dtype.
#   Big-endian data are at home in this field: IDX files (MNIST's format), FITS, netCDF, .npy files from other machines.
# What to do: x.astype(np.float32) at the door, which changes the order of the bytes as well; x.dtype == np.float32 is the
#   test (it is False for >f4); x.dtype.kind and itemsize are not.
# Seen: the text after `expected` below.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 protobuf==7.36.2 ml_dtypes==0.6.0

seen=$("$dir/venv/bin/python" <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy")
graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

big = np.array([1.0, 2.0, 3.0], dtype=">f4")
show = lambda a: " ".join(f"{v:.3g}" for v in a)
print("NumPy:", show(big + big))
print("onnxruntime:", show(session.run(None, {"x": big})[0]))
print("OrtValue:", show(onnxruntime.OrtValue.ortvalue_from_numpy(big).numpy()))
print("onnxruntime, astype(float32):", show(session.run(None, {"x": big.astype(np.float32)})[0]))
for name, tool, array in (("onnxruntime, float64", session, np.ones(3)), ("onnx.reference", ReferenceEvaluator(model), big)):
    try:
        print(name, show(tool.run(None, {"x": array})[0]))
    except Exception as error:
        print(f"{name}:", "refused" if "type" in str(error) else error)
PY
)
expected='NumPy: 2 4 6
onnxruntime: 9.2e-41 1.79e-43 4.61e-41
OrtValue: 4.6e-41 8.97e-44 2.3e-41
onnxruntime, astype(float32): 2 4 6
onnxruntime, float64: refused
onnx.reference: refused'
diff <(echo "$expected") <(echo "$seen") || { echo "changed: < as stated, > seen now"; exit 1; }
echo "as stated"
