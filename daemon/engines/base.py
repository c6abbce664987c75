"""What a worker asks of an engine. To add one: write its adapter, name it in `load`, and run the
contract suite in tests/engines/ over it.

An engine's calls block. The worker decides in which thread they run, so an adapter needs no
thread, no callback and no lock of its own; only `cancel` comes from another thread than `run`.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from numpy.typing import NDArray

from inferd.shm.element_type import ElementType
from inferd.shm.errors import DeviceUnavailable
from inferd.shm.ports import Port
from inferd.shm.wire import ProfileRow, Reshape, StateFacts

MODULES: Final[Mapping[str, str]] = {"openvino": "inferd.daemon.engines.openvino"}


class ModelFile(NamedTuple):
    """A file of a model under the name by which the model's other files refer to it."""

    name: str
    content: bytes


class Output(NamedTuple):
    """An output in the engine's own memory; strings come as a list, in C order."""

    shape: tuple[int, ...]
    values: NDArray[Any] | list[bytes]


class EngineRequest(Protocol):
    """One set of tensors of a compiled model, executed over and over."""

    def bind_input(
        self,
        port: int,
        array: NDArray[Any],
        element_type: ElementType,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        """Read this input from a C-contiguous array from now on; the array is kept alive.

        Packed types come as a flat array of their bytes, with the tensor's shape in ``shape``
        (else it is the array's); bf16 comes as float16 of the same bits, see `ElementType`.
        """

    def bind_output(
        self,
        port: int,
        array: NDArray[Any],
        element_type: ElementType,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        """Write this output into a C-contiguous array from now on."""

    def set_strings(self, port: int, shape: tuple[int, ...], values: Sequence[bytes]) -> None:
        """Set an input of strings."""

    def output(self, port: int) -> Output:
        """Return an output of the last run that is not bound, since its size was not known."""

    def states(self) -> Sequence[StateFacts]:
        """Return the variables that this request keeps between its runs."""

    def get_state(self, state: int) -> NDArray[Any]:
        """Return the value of a variable, in the engine's memory."""

    def set_state(self, state: int, array: NDArray[Any], element_type: ElementType) -> None:
        """Copy a value into a variable."""

    def reset_state(self, state: int | None) -> None:
        """Set a variable, or all of them, to what the model starts with."""

    def profile(self) -> Sequence[ProfileRow]:
        """Return how long each node of the model took."""

    def input_address(self, port: int) -> int:
        """Return the address that the engine itself reads the input from."""

    def output_address(self, port: int) -> int:
        """Return the address that the engine itself writes the output to."""

    def run(self) -> None:
        """Execute once; raise whatever the engine raises."""

    def cancel(self) -> None:
        """Ask a running `run` to end early, from another thread; harmless when none runs."""


class CompiledModel(Protocol):
    """A model that is ready to execute; its weights exist once."""

    name: str
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    running_max: int  # how many requests at once the device likes best
    properties: Mapping[str, Any]  # facts for `CompiledModel.get_property`; JSON values

    def create_request(self) -> EngineRequest: ...


class ModelFacts(NamedTuple):
    """What a model has, before it is compiled."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Engine(Protocol):
    """An engine that was opened for one device."""

    full_name: str  # of the device, for people
    version: str

    def read(self, files: Sequence[ModelFile], shapes: Sequence[Reshape]) -> ModelFacts:
        """Tell what a model has; see `compile`."""

    def compile(
        self,
        files: Sequence[ModelFile],
        properties: Mapping[str, str],
        shapes: Sequence[Reshape] = (),
    ) -> CompiledModel:
        """Compile a model: its own file first, then the files that it refers to.

        ``shapes`` are the dimensions that inputs are to have instead of their own.

        Raises
        ------
        ModelInvalid
            The files are no model that this engine can execute.
        PropertyInvalid
            A property is unknown or has a wrong value.
        """


def load(engine: str, device: str, properties: Mapping[str, str]) -> Engine:
    """Import an engine and open a device with it.

    Raises
    ------
    DeviceUnavailable
        The engine is not installed, or has no such device.
    """
    if engine not in MODULES:
        raise DeviceUnavailable(f"there is no engine {engine!r}; there are: {', '.join(MODULES)}")
    try:
        module = importlib.import_module(MODULES[engine])
    except ImportError as why:
        raise DeviceUnavailable(
            f"the engine {engine!r} can't be imported ({why}); "
            f"install it with: pip install 'inferd[{engine}]'"
        ) from why
    opened: Engine = module.open_device(device, properties)
    return opened
