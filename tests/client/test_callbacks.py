"""Callbacks that wait: all run on one thread, and still every wait ends."""

import sys
import threading
from typing import Any

import models
import numpy as np
import pytest
from daemons import DEADLINE_S, Daemon

import inferd.client as ov
from inferd.shm import errors

ROW = np.ones((1, 4), np.float32)


@pytest.fixture
def relu(shared_daemon: Daemon) -> ov.CompiledModel:
    return ov.Core().compile_model(models.relu((1, 4)), "CPU")


def test_a_callback_waits_for_a_request_that_has_a_callback_too(relu: ov.CompiledModel) -> None:
    requests = [relu.create_infer_request() for _ in range(10)]
    seen: list[int] = []

    def callback(number: int) -> None:
        if number + 1 < len(requests):
            requests[number + 1].start_async(ROW)
            requests[number + 1].wait()
        seen.append(number)

    for number, request in enumerate(requests):
        request.set_callback(callback, number)
    for _ in range(20):
        seen.clear()
        requests[0].start_async(ROW)
        requests[0].wait()
        assert seen == list(reversed(range(len(requests))))


def test_a_callback_waits_for_requests_that_other_threads_started(relu: ov.CompiledModel) -> None:
    first, others = relu.create_infer_request(), [relu.create_infer_request() for _ in range(3)]
    started = threading.Event()
    seen: list[Any] = []

    def callback(_: Any) -> None:
        started.wait(DEADLINE_S)
        for other in reversed(others):
            other.wait()
        seen.append("first")

    first.set_callback(callback, None)
    for number, other in enumerate(others):
        other.set_callback(seen.append, number)
    for _ in range(20):
        seen.clear()
        started.clear()
        first.start_async(ROW)
        for other in others:
            other.start_async(ROW)
        started.set()
        for request in (*others, first):
            request.wait()
        assert sorted(seen[:3]) == [0, 1, 2]
        assert seen[3:] == ["first"]


def test_a_callback_does_not_wait_for_itself(relu: ov.CompiledModel) -> None:
    request = relu.create_infer_request()
    seen: list[Any] = []

    def callback(_: Any) -> None:
        request.wait()
        seen.append(request.wait_for(10**9))

    request.set_callback(callback, None)
    request.start_async(ROW)
    request.wait()
    assert seen == [False]


def test_a_callback_that_exits_ends_neither_the_program_nor_other_callbacks(
    relu: ov.CompiledModel,
) -> None:
    request = relu.create_infer_request()
    request.set_callback(sys.exit, "bye")
    for _ in range(2):
        request.start_async(ROW)
        with pytest.raises(errors.CallbackFailed, match="SystemExit: bye"):
            request.wait()
