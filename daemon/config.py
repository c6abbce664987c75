"""The daemon's configuration: a TOML file, read into frozen values. Each field documents itself.

`describe` prints every setting with its default; docs/configuration.md is its output.
"""

import dataclasses
import difflib
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from inferd.daemon.log import LEVELS
from inferd.shm.codec import INTEGER_MAX
from inferd.shm.errors import ConfigurationInvalid

SYSTEM_PATH: Final = Path("/etc/inferd/inferd.toml")
DEVICE_NAME_CHARACTERS_MAX: Final = 64
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30

Settings = TypeVar("Settings")


def setting(default: Any, text: str) -> Any:
    """A field with its documentation."""
    return field(default=default, metadata={"text": text})


@dataclass(frozen=True)
class DaemonSettings:
    """The process as a whole."""

    runtime_dir: str = setting(
        "",
        "Directory of the sockets. Empty: $INFERD_RUNTIME_DIR, else $XDG_RUNTIME_DIR/inferd, else "
        "/run/inferd. Who may enter it may connect: its mode and group are the gate.",
    )
    drain_s: float = setting(
        10.0, "On SIGTERM, how long running inferences may take to finish, in seconds."
    )
    spin_us: int = setting(
        200,
        "While requests come close together, how long a worker looks for the next before it "
        "blocks, in microseconds, yielding the core to whoever has work. 0: never.",
    )
    log_level: str = setting("info", "debug, info, warning or error.")


@dataclass(frozen=True)
class Limits:
    """What sessions may take; each refusal names the setting."""

    sessions_max: int = setting(1024, "Sessions at once.")
    sessions_per_user_max: int = setting(512, "Sessions at once of one user.")
    segments_per_session_max: int = setting(1024, "Shared-memory segments of one session.")
    segment_bytes_per_session_max: int = setting(8 * _GIB, "Bytes of all segments of one session.")
    segment_bytes_max: int = setting(64 * _GIB, "Bytes of all segments of all sessions.")
    requests_per_session_max: int = setting(1024, "Infer requests of one session on one device.")
    models_per_session_max: int = setting(256, "Compiled models of one session on one device.")
    model_bytes_max: int = setting(16 * _GIB, "Bytes of the files of one model.")


@dataclass(frozen=True)
class ModelSettings:
    """Compiled models."""

    keep_alive_s: float = setting(
        300.0, "How long a model stays loaded after its last user has left, in seconds."
    )


@dataclass(frozen=True)
class DeviceSettings:
    """One worker process. ``[devices.NAME]`` serves it under NAME."""

    engine: str = setting("openvino", "The engine that executes models here.")
    device: str = setting("", "The engine's own name of the device. Empty: NAME.")
    cores: tuple[int, ...] = setting(
        (), "Numbers of the processor cores that the worker may use. Empty: all."
    )
    properties: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"text": "Properties of the engine for every model that is compiled here."},
    )


@dataclass(frozen=True)
class Configuration:
    """All settings of a daemon."""

    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    limits: Limits = field(default_factory=Limits)
    models: ModelSettings = field(default_factory=ModelSettings)
    devices: Mapping[str, DeviceSettings] = field(
        default_factory=lambda: {"CPU": DeviceSettings(device="CPU")}
    )


def read(path: Path | None) -> Configuration:
    """Read a configuration file; None: the system's, where there is one, else the defaults.

    Raises
    ------
    ConfigurationInvalid
        The file is missing or no TOML, or a setting is unknown or has a wrong value.
    """
    if path is None:
        if not SYSTEM_PATH.is_file():
            return Configuration()
        path = SYSTEM_PATH
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as why:
        raise ConfigurationInvalid(f"can't read the configuration {path}: {why.strerror}") from why
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as why:
        raise ConfigurationInvalid(f"the configuration {path} is not TOML: {why}") from why
    try:
        return parse(tables)
    except ConfigurationInvalid as why:
        raise ConfigurationInvalid(f"{path}: {why}") from None


def parse(tables: Mapping[str, Any]) -> Configuration:
    """Check the tables of a configuration file and fill in the defaults."""
    known = ("daemon", "limits", "models", "devices")
    for name in tables:
        if name not in known:
            raise ConfigurationInvalid(f"there is no table [{name}]{_suggest(name, known)}")
    devices = {
        name: _device(name, table) for name, table in _table(tables, "devices", "devices").items()
    }
    configuration = Configuration(
        daemon=_fill(DaemonSettings, _table(tables, "daemon", "daemon"), "daemon"),
        limits=_fill(Limits, _table(tables, "limits", "limits"), "limits"),
        models=_fill(ModelSettings, _table(tables, "models", "models"), "models"),
    )
    return dataclasses.replace(configuration, devices=devices) if devices else configuration


def describe() -> str:
    """Return every setting with its default and its meaning, as TOML."""
    lines: list[str] = []
    groups = [("daemon", DaemonSettings), ("limits", Limits), ("models", ModelSettings)]
    for name, kind in [*groups, ("devices.CPU", DeviceSettings)]:
        lines += ["", f"# {kind.__doc__}", f"[{name}]"]
        for each in dataclasses.fields(kind):
            default = each.default if each.default is not dataclasses.MISSING else {}
            lines += [f"# {each.metadata['text']}", f"# {each.name} = {_toml(default)}"]
    return "\n".join(lines).strip() + "\n"


def _device(name: str, table: Any) -> DeviceSettings:
    is_plain = name.replace(".", "").replace("-", "").replace("_", "").isalnum()
    if not is_plain or not name.isascii() or len(name) > DEVICE_NAME_CHARACTERS_MAX:
        raise ConfigurationInvalid(
            f"[devices.{name}]: a device's name has letters, digits, '.', '-' and '_' only"
        )
    settings = _fill(DeviceSettings, _as_table(table, f"devices.{name}"), f"devices.{name}")
    missing = sorted(set(settings.cores) - os.sched_getaffinity(0))
    if missing:
        raise ConfigurationInvalid(
            f"devices.{name}.cores: this machine has no core {missing[0]}; "
            f"it has {sorted(os.sched_getaffinity(0))}"
        )
    return dataclasses.replace(settings, device=settings.device or name)


def _fill(kind: type[Settings], table: Mapping[str, Any], where: str) -> Settings:
    hints = typing.get_type_hints(kind)
    for name in table:
        if name not in hints:
            raise ConfigurationInvalid(f"there is no setting {where}.{name}{_suggest(name, hints)}")
    return kind(**{name: _value(hints[name], v, f"{where}.{name}") for name, v in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list) or not all(_is_count(item) for item in value):
            raise ConfigurationInvalid(f"{where} must be a list of numbers, got {value!r}")
        return tuple(value)
    if origin is Mapping:
        return {key: _text_of(item, where) for key, item in _as_table(value, where).items()}
    if hint is float and _is_count(value):
        return float(value)
    if hint is int and not _is_count(value):
        raise ConfigurationInvalid(f"{where} must be a whole number from 0, got {value!r}")
    if not isinstance(value, hint) or (hint is float and not value >= 0):
        kind = {float: "a number from 0", str: "text"}.get(hint, hint.__name__)
        raise ConfigurationInvalid(f"{where} must be {kind}, got {value!r}")
    if where == "daemon.log_level" and value not in LEVELS:
        raise ConfigurationInvalid(f"{where} must be one of {', '.join(LEVELS)}, got {value!r}")
    return value


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= INTEGER_MAX


def _text_of(value: Any, where: str) -> str:
    """Engines take properties as text, with YES and NO for booleans."""
    if not isinstance(value, str | int | float):
        raise ConfigurationInvalid(f"the values of {where} must be plain, got {value!r}")
    return {True: "YES", False: "NO"}[value] if isinstance(value, bool) else str(value)


def _table(tables: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    return _as_table(tables.get(name, {}), where)


def _as_table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationInvalid(f"[{where}] must be a table, got {value!r}")
    return value


def _suggest(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"


def _toml(value: Any) -> str:
    match value:
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(str, value))}]"
        case dict() | types.MappingProxyType():
            return "{}"
        case _:
            return str(value)
