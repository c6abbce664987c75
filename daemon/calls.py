"""Answers the calls about one idle request: large outputs, variables, profile."""

import numpy as np

from inferd.daemon.bound_request import BoundRequest, Segments, array_of
from inferd.shm import wire
from inferd.shm.element_type import ElementType
from inferd.shm.errors import InferdError, InferenceFailed, NotFound, TensorMismatch


def answer_call(
    request: BoundRequest, segments: Segments, message: wire.WorkerCall
) -> wire.FromWorker:
    """Do what a call asks for and return its answer.

    Raises
    ------
    InferdError
        What is wrong with the call, or what the engine raised.
    """
    try:
        return _answer(request, segments, message)
    except InferdError:
        raise
    except Exception as why:  # an engine may raise anything
        raise InferenceFailed(f"the engine failed: {why}") from why


def _answer(request: BoundRequest, segments: Segments, message: wire.WorkerCall) -> wire.FromWorker:
    engine = request.engine
    match message:
        case wire.AskStates():
            return wire.States(message.call, tuple(engine.states()))
        case wire.AskProfile():
            return wire.Profile(message.call, tuple(engine.profile()))
        case wire.Fetch():
            request.fetch(message.binding, segments)
        case wire.GetState():
            _get_state(request, segments, message)
        case wire.SetState():
            _check_state(request, message.state)
            array = array_of(message.layout, segments)
            engine.set_state(message.state, array, ElementType[message.layout.element_type])
        case wire.ResetState():
            if message.state is not None:
                _check_state(request, message.state)
            engine.reset_state(message.state)
    return wire.Accepted(message.call)


def _get_state(request: BoundRequest, segments: Segments, message: wire.GetState) -> None:
    _check_state(request, message.state)
    array = array_of(message.layout, segments)
    value = request.engine.get_state(message.state)
    if array.shape != value.shape or array.dtype != value.dtype:
        raise TensorMismatch(
            f"the variable has {value.dtype}{list(value.shape)}, "
            f"the block {array.dtype}{list(array.shape)}"
        )
    np.copyto(array, value)


def _check_state(request: BoundRequest, state: int) -> None:
    count = len(request.engine.states())
    if state >= count:
        raise NotFound(f"the request has {count} variables, got index {state}")
