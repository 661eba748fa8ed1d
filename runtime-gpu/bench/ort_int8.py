"""How fast ONNX Runtime multiplies int8 weights with many tokens, and in how much memory.

    python ort_int8.py

The matrix is gate and up of an expert of model A (1024 to 3584), thirty-two of them in turn, so that weights come from
memory. Weights are constants, which the library arranges anew when a session opens, or are passed with each call.
"""
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

COLUMNS, ROWS, BLOCK, COUNT, THREADS = 1024, 3584, 32, 32, 2
MEGABYTES = COLUMNS * ROWS * COUNT / 1e6


def per_row(draw):
    """int8 with a scale for each row, activations rounded to bytes with one scale: the form that reaches AMX."""
    weights = draw.integers(-127, 128, (COLUMNS, ROWS), dtype=np.int8)
    return "DynamicQuantizeMatMul", {"w": weights}, {"s": np.full(ROWS, 0.01, np.float32)}, {}


def as_stored(draw):
    """int8 row by row, as packages have it, times activations that were rounded to bytes before."""
    return "MatMulInteger", {"w": draw.integers(-127, 128, (ROWS, COLUMNS), dtype=np.int8)}, {}, {}


def blocks(draw):
    """Blocks of 32, as `convert --quantize int8` makes them, activations rounded to a byte by block."""
    weights = draw.integers(0, 256, (ROWS, COLUMNS // BLOCK, BLOCK), dtype=np.uint8)
    scales = np.full((ROWS, COLUMNS // BLOCK), 0.01, np.float32)
    attributes = {"K": COLUMNS, "N": ROWS, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
    return "MatMulNBits", {"w": weights}, {"s": scales}, attributes


def session(operator, constants, passed, attributes):
    def value(name, array):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

    if operator == "MatMulInteger":
        node = helper.make_node(operator, ["w", "x"], ["y"])
        x = helper.make_tensor_value_info("x", TensorProto.INT8, [COLUMNS, "tokens"])
        y = helper.make_tensor_value_info("y", TensorProto.INT32, [ROWS, "tokens"])
    else:
        node = helper.make_node(operator, ["x", "w", "s"], ["y"], domain="com.microsoft", **attributes)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["tokens", COLUMNS])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["tokens", ROWS])
    graph = helper.make_graph(
        [node],
        "product",
        [x] + [value(name, array) for name, array in passed.items()],
        [y],
        [
            helper.make_tensor(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape, a.tobytes(), raw=True)
            for n, a in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # Many sessions, each with its threads.
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1000 for line in status if line.startswith("RssAnon"))


def measure(form, constant):
    draw = np.random.default_rng(0)
    matrices = [form(draw) for _ in range(COUNT)]
    before = anonymous()
    calls = []
    for operator, weights, scales, attributes in matrices:
        if constant:
            calls.append((session(operator, weights | scales, {}, attributes), {}))
        elif not calls:
            calls.append((session(operator, scales, weights, attributes), weights))
        else:
            calls.append((calls[0][0], weights))
    rates = []
    for tokens in (16, 128):
        if matrices[0][0] == "MatMulInteger":
            x = {"x": draw.integers(-127, 128, (COLUMNS, tokens), dtype=np.int8)}
        else:
            x = {"x": draw.standard_normal((tokens, COLUMNS), dtype=np.float32)}
        times = []
        for _ in range(8):
            start = time.perf_counter()
            for run, inputs in calls:
                run.run(None, x | inputs)
            times.append(time.perf_counter() - start)
        rates.append(2e-9 * COLUMNS * ROWS * tokens * COUNT / np.median(times[1:]))
    print(
        f"{matrices[0][0]:22} {'constants' if constant else 'passed':10} 16 tokens {rates[0]:5.0f} GFLOP/s, "
        f"128 tokens {rates[1]:5.0f} GFLOP/s, {anonymous() - before:5.0f} MB more for {MEGABYTES:.0f} MB of weights"
    )


for form in (per_row, as_stored, blocks):
    for constant in (True, False):
        measure(form, constant)
