"""The models that are measured, as ONNX."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RESNET50: Final = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
SEED: Final = 50
IR_VERSION: Final = 8


def relu() -> bytes:
    """``y = max(x, 0)``, float32 (1, 16): next to no work, so the call itself is measured."""
    return _model(helper.make_node("Relu", ["x"], ["y"]), (1, 16))


def add() -> bytes:
    """``y = a + b``, float32 (2, 1024, 1024), 8 MiB each: a copy would show."""
    return _model(helper.make_node("Add", ["a", "b"], ["y"]), (2, 1024, 1024))


def resnet50() -> bytes:
    """ResNet-50 for one image, float32 (1, 3, 224, 224).

    The onnx package ships the graph without weights: nodes fill them with one constant. They are
    replaced by random weights, for results that tell images apart.
    """
    model = onnx.load(RESNET50)
    known = {each.name: each for each in model.graph.initializer}
    generator = np.random.default_rng(SEED)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type == "ConstantOfShape":
            shape = known[node.input[0]]
            weights = _weights(generator, numpy_helper.to_array(shape).tolist(), node.output[0])
            model.graph.initializer.append(weights)
        else:
            model.graph.node.append(node)
    _keep_what_is_used(model.graph)
    model.ir_version = IR_VERSION  # from 4 on, weights need not be inputs
    return bytes(model.SerializeToString())


def _weights(generator: np.random.Generator, shape: Sequence[int], name: str) -> Any:
    if len(shape) == 1:  # of a normalization: scales and variances are positive
        values = generator.uniform(0.5, 1.5, shape)
    else:
        values = generator.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
    return numpy_helper.from_array(values.astype(np.float32), name)


def _keep_what_is_used(graph: Any) -> None:
    """Drop initializers that no node reads; leave the image as the only input."""
    used = {name for node in graph.node for name in node.input}
    initializers = [each for each in graph.initializer if each.name in used]
    names = {each.name for each in initializers}
    inputs = [each for each in graph.input if each.name in used - names]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(initializers)
    graph.input.extend(inputs)


def _model(node: Any, shape: Sequence[int]) -> bytes:
    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [node], node.op_type, [value(name) for name in node.input], [value("y")]
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=IR_VERSION
    )
    return bytes(model.SerializeToString())
