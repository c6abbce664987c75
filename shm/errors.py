"""Every way in which inferd fails: one tree, sorted by who must act.

An error travels between processes as its code and its text, and is raised on the other side as
the same class. Each class also derives from the built-in type that OpenVINO raises in its place,
so a program that catches `RuntimeError` or `TypeError` goes on working.
"""

from typing import ClassVar, Final


class InferdError(Exception):
    """Base of all errors that inferd raises."""

    code: ClassVar[str] = "error"


# --- The caller: the call was wrong, and the same call will fail again. ---------------------------


class WrongType(InferdError, TypeError):
    """An argument has a Python type that can't be used here."""

    code = "wrong_type"


class WrongValue(InferdError, RuntimeError):
    """An argument has the right type, but a value that can't be used here."""

    code = "wrong_value"


class NotWriteable(WrongValue, ValueError):
    """The array may not be written to, so it can't be shared."""

    code = "not_writeable"


class ModelNotFound(InferdError, RuntimeError):
    """The model's file is missing, is a directory, or may not be read by this user."""

    code = "model_not_found"


class ModelInvalid(InferdError, RuntimeError):
    """The engine can't read or compile this model."""

    code = "model_invalid"


class DeviceNotFound(InferdError, RuntimeError):
    """The daemon serves no device of this name."""

    code = "device_not_found"


class PropertyInvalid(InferdError, RuntimeError):
    """The engine refuses a configuration key or its value."""

    code = "property_invalid"


class PortNotFound(InferdError, RuntimeError):
    """The model has no input or output of this name or index."""

    code = "port_not_found"


class TensorMismatch(InferdError, RuntimeError):
    """The tensor's element type or shape is not what the port takes."""

    code = "tensor_mismatch"


class RequestBusy(InferdError, RuntimeError):
    """The infer request is running; wait for it first."""

    code = "request_busy"


class RequestCancelled(InferdError, RuntimeError):
    """The inference was cancelled."""

    code = "request_cancelled"


class CallbackFailed(InferdError, RuntimeError):
    """The callback raised; its error is the cause."""

    code = "callback_failed"


class SessionForked(InferdError, RuntimeError):
    """This process was forked from the one that connected; make a new Core here."""

    code = "session_forked"


class SessionClosed(InferdError, RuntimeError):
    """The session with the daemon was closed by this process."""

    code = "session_closed"


# --- The model's author: the engine ran, and failed. ----------------------------------------------


class InferenceFailed(InferdError, RuntimeError):
    """The engine raised while it executed the model."""

    code = "inference_failed"


# --- The operator: a limit or a setting of the daemon, or the machine, is in the way. -------------


class OutOfMemory(InferdError, RuntimeError):
    """The machine has no room for this segment."""

    code = "out_of_memory"


class OverBudget(InferdError, RuntimeError):
    """A limit of the daemon's configuration is reached."""

    code = "over_budget"


class AccessDenied(InferdError, RuntimeError):
    """This user may not do that."""

    code = "access_denied"


class DeviceUnavailable(InferdError, RuntimeError):
    """The device is served, but its worker is not running."""

    code = "device_unavailable"


class ConfigurationInvalid(InferdError, ValueError):
    """A setting in the daemon's configuration is unknown or has a wrong value."""

    code = "configuration_invalid"


class AlreadyServing(InferdError, RuntimeError):
    """Another daemon serves this runtime directory."""

    code = "already_serving"


class DaemonNotFound(InferdError, RuntimeError):
    """No daemon answers in any of the places where it may be."""

    code = "daemon_not_found"


class VersionMismatch(InferdError, RuntimeError):
    """Client and daemon speak different versions of the protocol."""

    code = "version_mismatch"


# --- Nobody: a process died or is going. Compile again, or retry later. ---------------------------


class DaemonDied(InferdError, RuntimeError):
    """The daemon ended while this process used it."""

    code = "daemon_died"


class DaemonStopping(InferdError, RuntimeError):
    """The daemon is shutting down and takes no new work."""

    code = "daemon_stopping"


class WorkerDied(InferdError, RuntimeError):
    """The device's worker process ended; compile the model again."""

    code = "worker_died"


# --- The authors of a client: a message or a descriptor that no correct client sends. -------------


class ProtocolViolation(InferdError, RuntimeError):
    """A message is malformed, or is not allowed now."""

    code = "protocol_violation"


class NotFound(InferdError, RuntimeError):
    """This session has nothing of that id."""

    code = "not_found"


class DescriptorInvalid(InferdError, RuntimeError):
    """A descriptor is not sealed shared memory of the size that was said."""

    code = "descriptor_invalid"


class LayoutInvalid(InferdError, RuntimeError):
    """A tensor's layout is malformed or points outside its segment."""

    code = "layout_invalid"


def _tree(base: type[InferdError]) -> dict[str, type[InferdError]]:
    classes = {base.code: base}
    for subclass in base.__subclasses__():
        classes |= _tree(subclass)
    return classes


BY_CODE: Final = _tree(InferdError)


def rebuild(code: str, text: str) -> InferdError:
    """Make the error that another process described; an unknown code gives the base class."""
    return BY_CODE.get(code, InferdError)(text)
