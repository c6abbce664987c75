"""Small models for tests, built here so that every test says what it runs."""

import itertools
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

Dimension = int | str

_serial_numbers = itertools.count()


def relu(shape: Sequence[Dimension] = (1, 16)) -> bytes:
    """ONNX: ``y = max(x, 0)``, float32."""
    return unary("Relu", shape)


def unary(
    operator: str, shape: Sequence[Dimension], element_type: int = TensorProto.FLOAT
) -> bytes:
    """ONNX: ``y = operator(x)``."""
    return build(
        [helper.make_node(operator, ["x"], ["y"])],
        inputs=[helper.make_tensor_value_info("x", element_type, shape)],
        outputs=[helper.make_tensor_value_info("y", element_type, shape)],
    )


def add(shape: Sequence[Dimension] = (1, 4), element_type: int = TensorProto.FLOAT) -> bytes:
    """ONNX: ``sum = a + b``."""
    return build(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        inputs=[helper.make_tensor_value_info(name, element_type, shape) for name in "ab"],
        outputs=[helper.make_tensor_value_info("sum", element_type, shape)],
    )


def two_outputs(shape: Sequence[Dimension] = (1, 4)) -> bytes:
    """ONNX: ``positive = max(x, 0)``, ``negated = -x``, float32."""
    return build(
        [
            helper.make_node("Relu", ["x"], ["positive"]),
            helper.make_node("Neg", ["x"], ["negated"]),
        ],
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        outputs=[
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name in ("positive", "negated")
        ],
    )


def slow(size: int = 512, layers: int = 40) -> bytes:
    """ONNX: a chain of matrix products that takes tens of milliseconds, float32 (size, size)."""
    generator = np.random.default_rng(7)
    weights = generator.standard_normal((size, size)).astype(np.float32) / np.sqrt(size)
    nodes = [
        helper.make_node("MatMul", [f"h{i}" if i else "x", "w"], [f"h{i + 1}"])
        for i in range(layers)
    ]
    nodes[-1].output[0] = "y"
    return build(
        nodes,
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, (size, size))],
        outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, (size, size))],
        constants={"w": weights.astype(np.float32)},
    )


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, NDArray[np.generic]] | None = None,
) -> bytes:
    """Serialize a checked ONNX model of opset 17."""
    initializers = [
        onnx.numpy_helper.from_array(value, name) for name, value in (constants or {}).items()
    ]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def two_names(shape: Sequence[Dimension] = (1, 4)) -> bytes:
    """ONNX: ``y = max(x, 0)``, float32, with one output that is called ``early`` and ``late``."""
    return build(
        [
            helper.make_node("Relu", ["x"], ["late"]),
            helper.make_node("Identity", ["late"], ["early"]),
        ],
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        outputs=[helper.make_tensor_value_info("early", TensorProto.FLOAT, shape)],
    )


def sum_of_reshaped() -> bytes:
    """ONNX: ``sum`` of x (1, 4) brought into the shape ``target``: fails when it does not fit.

    Each call gives another model: of one and the same, OpenVINO refuses a target only once.
    """
    unused = np.array([next(_serial_numbers)], np.int64)
    return build(
        [
            helper.make_node("Reshape", ["x", "target"], ["reshaped"]),
            helper.make_node("ReduceSum", ["reshaped"], ["sum"], keepdims=0),
        ],
        inputs=[
            helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4)),
            helper.make_tensor_value_info("target", TensorProto.INT64, (2,)),
        ],
        outputs=[helper.make_tensor_value_info("sum", TensorProto.FLOAT, ())],
        constants={"serial_number": unused},
    )


IR_ADD_FOUR = """<?xml version="1.0"?>
<net name="add_four" version="11">
  <layers>
    <layer id="0" name="x" type="Parameter" version="opset1">
      <data shape="4" element_type="f32"/>
      <output><port id="0" precision="FP32" names="x"><dim>4</dim></port></output>
    </layer>
    <layer id="1" name="w" type="Const" version="opset1">
      <data element_type="f32" shape="4" offset="0" size="16"/>
      <output><port id="0" precision="FP32"><dim>4</dim></port></output>
    </layer>
    <layer id="2" name="add" type="Add" version="opset1">
      <data auto_broadcast="numpy"/>
      <input>
        <port id="0" precision="FP32"><dim>4</dim></port>
        <port id="1" precision="FP32"><dim>4</dim></port>
      </input>
      <output><port id="2" precision="FP32" names="y"><dim>4</dim></port></output>
    </layer>
    <layer id="3" name="result" type="Result" version="opset1">
      <input><port id="0" precision="FP32"><dim>4</dim></port></input>
    </layer>
  </layers>
  <edges>
    <edge from-layer="0" from-port="0" to-layer="2" to-port="0"/>
    <edge from-layer="1" from-port="0" to-layer="2" to-port="1"/>
    <edge from-layer="2" from-port="2" to-layer="3" to-port="0"/>
  </edges>
</net>
"""


def ir_add(constant: Sequence[float]) -> tuple[str, bytes]:
    """OpenVINO IR, as xml and weights: ``y = x + constant``, float32 (4,)."""
    assert len(constant) == 4
    return IR_ADD_FOUR, np.asarray(constant, np.float32).tobytes()


def subtract(shape: Sequence[Dimension] = (1, 4)) -> bytes:
    """ONNX: ``difference = a - b``, float32: unlike a sum, it tells its inputs apart."""
    return build(
        [helper.make_node("Sub", ["a", "b"], ["difference"])],
        inputs=[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "ab"],
        outputs=[helper.make_tensor_value_info("difference", TensorProto.FLOAT, shape)],
    )


def non_zero() -> bytes:
    """ONNX: ``where`` x (n), float32, is not 0: (1, k), int64, k known only after the run."""
    return build(
        [helper.make_node("NonZero", ["x"], ["where"])],
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n",))],
        outputs=[helper.make_tensor_value_info("where", TensorProto.INT64, (1, "k"))],
    )
