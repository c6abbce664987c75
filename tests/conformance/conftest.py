"""The same test source runs against OpenVINO and against inferd: OpenVINO is the judge."""

import importlib
import os
from typing import Any

import pytest

APIS = {"openvino": "openvino", "inferd": "inferd.client"}


@pytest.fixture(
    scope="session", params=os.environ.get("INFERD_TEST_APIS", "openvino,inferd").split(",")
)
def ov(request: pytest.FixtureRequest) -> Any:
    """The module under test, by the name that programs import it as."""
    if request.param == "inferd":
        request.getfixturevalue("shared_daemon")
    return importlib.import_module(APIS[request.param])


@pytest.fixture
def core(ov: Any) -> Any:
    return ov.Core()
