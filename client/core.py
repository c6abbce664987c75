"""The way in: devices, and models compiled on them."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from inferd.client import discovery
from inferd.client.compiled_model import CompiledModel, ModelHandle
from inferd.client.connection import Connection, ModelFiles
from inferd.client.model import Model
from inferd.shm.errors import DeviceNotFound, ModelNotFound, PropertyInvalid, WrongType

PROPERTY_CHARACTERS_MAX: Final = 4096

# Files that belong to a model's file and lie beside it, by its suffix.
_COMPANIONS: Final[Mapping[str, tuple[str, ...]]] = {
    ".xml": ("{stem}.bin",),
    ".onnx": ("{name}.data", "{name}_data"),
    ".pdmodel": ("{stem}.pdiparams",),
}


class Core:
    """A session with the daemon, shared by all cores of this process.

    Connects to the daemon of ``$INFERD_RUNTIME_DIR``, else the user's, else the system's. Where
    none runs, a private one is started for this process and its children; ``autostart=False`` or
    ``INFERD_AUTOSTART=0`` forbids that.

    Raises
    ------
    DaemonNotFound
        No daemon answers, and none may be started or it does not start.
    AccessDenied
        A daemon serves, but not this user.
    """

    def __init__(self, xml_config_file: str = "", *, autostart: bool | None = None) -> None:
        """``xml_config_file`` is OpenVINO's and not used: the daemon has the configuration."""
        self._connection = Connection.shared(
            autostart=discovery.may_autostart() if autostart is None else autostart
        )

    @property
    def available_devices(self) -> list[str]:
        """The names that `compile_model` takes."""
        return [device.name for device in self._connection.devices]

    def get_available_devices(self) -> list[str]:
        """Return the names that `compile_model` takes."""
        return self.available_devices

    def compile_model(
        self,
        model: Any,
        device_name: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        weights: bytes | None = None,
    ) -> CompiledModel:
        """Compile a model on a device, or join it if another process has it there.

        Parameters
        ----------
        model : str, Path, bytes, BytesIO, Model
            A file's path, or a model in memory (ONNX, or IR's XML text with ``weights``).
        device_name : str, optional
            One of `available_devices`; by default, and for ``AUTO``, the first.
        config : mapping, optional
            Properties of the engine.
        weights : bytes, optional
            The weights of a model in memory.

        Raises
        ------
        ModelNotFound, ModelInvalid
            There is no such file, or it is no model.
        DeviceNotFound, DeviceUnavailable
            There is no such device, or its worker can't run.
        PropertyInvalid
            A property is unknown or has a wrong value.
        """
        device = self._device(device_name)
        properties = _properties(config)
        if isinstance(model, Model):
            remote = self._connection.compile(model.files, device, properties, model.shapes)
            return CompiledModel(ModelHandle(self._connection, remote))
        files = _open(model, weights)
        try:
            remote = self._connection.compile(files, device, properties)
        finally:
            for descriptor in files.descriptors:
                os.close(descriptor)
        return CompiledModel(ModelHandle(self._connection, remote))

    def read_model(
        self, model: Any, weights: Any = None, config: Mapping[str, Any] | None = None
    ) -> Model:
        """Read a model without compiling it, to look at its ports or to reshape it.

        Parameters
        ----------
        model : str, Path, bytes, BytesIO
            As for `compile_model`.
        weights : bytes or path, optional
            The weights of a model in memory, or the path of a model's weights.

        Raises
        ------
        ModelNotFound, ModelInvalid
            There is no such file, or it is no model.
        """
        if isinstance(weights, str | os.PathLike):
            weights = _weights_at(Path(weights))
        return Model(self._connection, _open(model, weights), self.available_devices[0])

    def _device(self, name: str | None) -> str:
        if name is not None and not isinstance(name, str):
            raise WrongType(f"a device is named by text, got {name!r}")
        devices = self.available_devices
        if name is None or name == "AUTO":
            return devices[0]
        if name not in devices:
            raise DeviceNotFound(
                f"there is no device {name!r}; the daemon serves: {', '.join(devices)}"
            )
        return name


def compile_model(
    model: Any, device_name: str = "AUTO", config: Mapping[str, Any] | None = None
) -> CompiledModel:
    """Compile a model on a core of its own; see `Core.compile_model`."""
    return Core().compile_model(model, device_name, config)


def _properties(config: Mapping[str, Any] | None) -> dict[str, str]:
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise WrongType(f"properties come as a dict, got {type(config).__name__}")
    properties = {str(name): _property(value) for name, value in config.items()}
    for name, value in properties.items():
        if len(name) + len(value) > PROPERTY_CHARACTERS_MAX:
            raise PropertyInvalid(
                f"the property {name[:40]!r} has {len(value)} characters; "
                f"at most {PROPERTY_CHARACTERS_MAX} are taken"
            )
    return properties


def _property(value: Any) -> str:
    if isinstance(value, bool):
        return "YES" if value else "NO"
    return str(getattr(value, "name", value))


def _open(model: Any, weights: bytes | None) -> ModelFiles:
    match model:
        case bytes() | bytearray() | memoryview():
            return _in_memory(bytes(model), weights)
        case io.BytesIO():
            return _in_memory(model.getvalue(), weights)
        case str() if model.lstrip().startswith("<"):
            return _in_memory(model.encode(), weights)
        case str() | os.PathLike():
            return _on_disk(Path(model), weights)
    raise WrongType(f"a model is a path, bytes or a stream, got {type(model).__name__}")


def _in_memory(model: bytes, weights: bytes | None) -> ModelFiles:
    is_text = model[:64].lstrip().startswith(b"<")
    contents = [model] if weights is None else [model, bytes(weights)]
    names = ["model.xml" if is_text else "model.onnx", "model.bin"][: len(contents)]
    return ModelFiles(tuple(names), tuple(_memory_file(content) for content in contents))


def _weights_at(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as why:
        raise ModelNotFound(f"can't open the weights {path}: {why.strerror}") from None


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("inferd-model", os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    return descriptor


def _on_disk(path: Path, weights: bytes | None) -> ModelFiles:
    """Open a model's files with the rights of this process."""
    if path.is_dir():
        raise ModelNotFound(f"{path} is a directory, not a model's file")
    names = [path.name] if weights is not None else [path.name, *_companions(path)]
    descriptors: list[int] = []
    try:
        for name in names:
            descriptors.append(os.open(path.with_name(name), os.O_RDONLY | os.O_CLOEXEC))
    except OSError as why:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ModelNotFound(f"can't open the model {path}: {why.strerror}") from None
    if weights is not None:
        names.append(f"{path.stem}.bin")
        descriptors.append(_memory_file(weights))
    return ModelFiles(tuple(names), tuple(descriptors))


def _companions(path: Path) -> list[str]:
    """Return the names of the files beside a model that belong to it."""
    patterns = _COMPANIONS.get(path.suffix.lower(), ())
    names = [pattern.format(stem=path.stem, name=path.name) for pattern in patterns]
    return [name for name in names if path.with_name(name).is_file()]
