"""Infer requests on models that are shared between processes, with the members of OpenVINO's API.

>>> import inferd.client as ov
>>> model = ov.Core().compile_model("examples/digits.onnx", "CPU")
>>> model([[0.0] * 64])  # doctest: +SKIP
"""

from inferd.client.async_infer_queue import AsyncInferQueue
from inferd.client.compiled_model import CompiledModel
from inferd.client.core import Core, compile_model
from inferd.client.infer_request import InferRequest
from inferd.client.layout import Layout
from inferd.client.model import Model
from inferd.client.ports import ConstOutput
from inferd.client.profiling import ProfilingInfo
from inferd.client.results import OVDict
from inferd.client.shapes import Coordinate, Dimension, PartialShape, Shape, Strides
from inferd.client.tensor import Tensor
from inferd.client.tensor_file import tensor_from_file
from inferd.shm.element_type import ElementType as Type

__all__ = [
    "AsyncInferQueue",
    "CompiledModel",
    "ConstOutput",
    "Coordinate",
    "Core",
    "Dimension",
    "InferRequest",
    "Layout",
    "Model",
    "OVDict",
    "PartialShape",
    "ProfilingInfo",
    "Shape",
    "Strides",
    "Tensor",
    "Type",
    "compile_model",
    "tensor_from_file",
]
