"""Which files an ONNX model refers to, wherever in it the reference hides."""

import models
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from inferd.daemon.engines.onnx_files import NotProtobuf, external_files


def elsewhere(name: str, location: str) -> TensorProto:
    """A tensor whose bytes are in another file."""
    tensor = onnx.numpy_helper.from_array(np.ones(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def model_of(nodes: list[onnx.NodeProto], initializers: list[TensorProto]) -> bytes:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, (4,))
    graph = helper.make_graph(nodes, "test", [], [output], initializers)
    return bytes(helper.make_model(graph).SerializeToString())


def test_a_model_of_its_own_refers_to_nothing() -> None:
    assert external_files(models.relu()) == set()
    assert external_files(models.slow(size=8, layers=2)) == set()


def test_weights_in_a_file_are_found() -> None:
    identity = [helper.make_node("Identity", ["w"], ["y"])]
    assert external_files(model_of(identity, [elsewhere("w", "../../x")])) == {"../../x"}


def test_a_constant_in_a_branch_is_found() -> None:
    constant = helper.make_node("Constant", [], ["c"], value=elsewhere("c", "/etc/hidden"))
    output = helper.make_tensor_value_info("c", TensorProto.FLOAT, (4,))
    branch = helper.make_graph([constant], "branch", [], [output])
    choice = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    assert external_files(model_of([choice], [])) == {"/etc/hidden"}


@given(st.binary(max_size=200))
def test_any_bytes_are_walked_or_refused(content: bytes) -> None:
    try:
        external_files(content)
    except NotProtobuf:
        return


def test_a_model_that_is_cut_off_is_refused() -> None:
    with pytest.raises(NotProtobuf):
        external_files(models.slow(size=8, layers=2)[:-20])
