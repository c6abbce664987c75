"""The same test source runs against OpenVINO and against inferd: OpenVINO is the judge."""

import importlib
import os
from typing import Any

import pytest

APIS = {"openvino": "openvino", "inferd": "inferd.client"}


# What inferd does not offer yet, as docs/api.md tells: these files run against OpenVINO only.
NOT_OFFERED = {
    "test_batched.py": "lists of tensors as one batch",
    "test_core.py": "properties, versions, import and export, contexts of Core",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        reason = NOT_OFFERED.get(item.path.name)
        if reason is not None and "inferd" in item.name:
            item.add_marker(pytest.mark.skip(reason=f"not offered yet (docs/api.md): {reason}"))


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
