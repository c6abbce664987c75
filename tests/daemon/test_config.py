"""The configuration: every setting is read, checked and described."""

import dataclasses
import math
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.daemon import config
from inferd.daemon.config import (
    Configuration,
    DaemonSettings,
    DeviceSettings,
    Limits,
    ModelSettings,
    describe,
    parse,
    read,
)
from inferd.shm.errors import ConfigurationInvalid

TABLES: dict[str, type] = {
    "daemon": DaemonSettings,
    "limits": Limits,
    "models": ModelSettings,
    "devices": DeviceSettings,
}
SETTINGS = [
    pytest.param(table, each, id=f"{table}.{each.name}")
    for table, kind in TABLES.items()
    for each in dataclasses.fields(kind)
]
every_setting = pytest.mark.parametrize(("table", "setting"), SETTINGS)

# Values that are no default, and what is read for them.
GOOD: dict[str, tuple[Any, Any]] = {
    "int": (7, 7),
    "float": (3, 3.0),
    "str": ("other", "other"),
    "log_level": ("debug", "debug"),
    "cores": ([0, 2], (0, 2)),
    "properties": (
        {"hint": "LATENCY", "streams": 2, "cache": True},
        {"hint": "LATENCY", "streams": "2", "cache": "YES"},
    ),
}

WRONG: dict[str, list[object]] = {
    "int": [True, -1, 1.0, "7", [], {}],
    "float": [True, -1, -0.5, math.nan, "7", [], {}],
    "str": [7, True, 1.5, [], {}],
    "cores": [0, "0", [-1], [True], ["0"], [0.0], {}],
    "properties": ["YES", 7, [], True],
}


@pytest.fixture(autouse=True)
def _cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose cores do not depend on the machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})


def tables_with(table: str, name: str, value: object) -> dict[str, Any]:
    return {table: {"GPU": {name: value}} if table == "devices" else {name: value}}


# --- Every setting --------------------------------------------------------------------------------


@every_setting
def test_a_setting_is_read_and_the_others_keep_their_defaults(
    table: str, setting: "dataclasses.Field[Any]"
) -> None:
    given_value, expected = GOOD.get(setting.name) or GOOD[type(setting.default).__name__]
    configuration = parse(tables_with(table, setting.name, given_value))
    if table == "devices":
        default = DeviceSettings(device="GPU")
        changed = dataclasses.replace(default, **{setting.name: expected})
        assert changed != default
        assert configuration == Configuration(devices={"GPU": changed})
    else:
        group = getattr(Configuration(), table)
        changed = dataclasses.replace(group, **{setting.name: expected})
        assert changed != group
        assert configuration == dataclasses.replace(Configuration(), **{table: changed})


@every_setting
def test_a_value_of_the_wrong_type_is_refused_by_its_name(
    table: str, setting: "dataclasses.Field[Any]"
) -> None:
    where = "devices.GPU" if table == "devices" else table
    for value in WRONG.get(setting.name) or WRONG[type(setting.default).__name__]:
        with pytest.raises(ConfigurationInvalid) as raised:
            parse(tables_with(table, setting.name, value))
        assert re.match(rf"\[?{where}\.{setting.name}\]? must be .*, got ", str(raised.value))
        assert str(raised.value).endswith(repr(value))


@every_setting
def test_a_misspelt_setting_is_refused_with_a_suggestion(
    table: str, setting: "dataclasses.Field[Any]"
) -> None:
    misspelt = setting.name[:-1]
    with pytest.raises(
        ConfigurationInvalid, match=rf"there is no setting .*\.{misspelt};"
    ) as raised:
        parse(tables_with(table, misspelt, 7))
    assert str(raised.value).endswith(f"did you mean {setting.name!r}?")


@every_setting
def test_a_setting_documents_itself(table: str, setting: "dataclasses.Field[Any]") -> None:
    assert setting.metadata["text"].endswith(".")
    assert f"# {setting.metadata['text']}\n# {setting.name} = " in describe()


@pytest.mark.parametrize("value", [0, 0.0, 2.5, math.inf])
def test_times_are_any_number_from_0(value: float) -> None:
    assert parse({"daemon": {"drain_s": value}}).daemon.drain_s == value


# --- What it describes is what it reads -----------------------------------------------------------


def test_the_description_is_toml_that_changes_nothing() -> None:
    assert parse(tomllib.loads(describe())) == Configuration()


def test_the_description_uncommented_gives_the_defaults() -> None:
    uncommented = re.sub(r"^# (\w+ = )", r"\1", describe(), flags=re.MULTILINE)
    tables = tomllib.loads(uncommented)
    assert parse(tables) == Configuration()
    tables["devices"] = tables["devices"]["CPU"]
    for name, kind in TABLES.items():
        assert set(tables[name]) == {each.name for each in dataclasses.fields(kind)}


# --- What else can be wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"deamon": {}}, r"no table \[deamon\]; did you mean 'daemon'"),
        ({"zzz": {}}, r"no table \[zzz\]; there are: daemon, limits, models, devices"),
        ({"limits": {"zzz": 1}}, r"no setting limits\.zzz; there are: sessions_max,"),
        ({"limits": 7}, r"\[limits\] must be a table, got 7"),
        ({"devices": []}, r"\[devices\] must be a table"),
        ({"devices": {"GPU": "openvino"}}, r"\[devices.GPU\] must be a table"),
        ({"devices": {"GPU": {"cores": [0, 1]}}}, r"GPU\.cores: this machine has no core 1"),
    ],
)
def test_a_mistake_is_told_in_words(tables: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=complaint):
        parse(tables)


@pytest.mark.parametrize("name", ["CPU", "GPU.0", "npu-1", "my_gpu", "7", "x" * 64])
def test_a_device_is_called_by_a_plain_name(name: str) -> None:
    devices = parse({"devices": {name: {}}}).devices
    assert devices == {name: DeviceSettings(device=name)}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "gpü", "a\0", "x" * 65, "../CPU"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="a device's name has letters"):
        parse({"devices": {name: {}}})


def test_devices_that_are_configured_replace_the_default_one() -> None:
    assert set(parse({"devices": {"GPU": {}, "NPU": {}}}).devices) == {"GPU", "NPU"}
    assert set(parse({"devices": {}}).devices) == {"CPU"}


@pytest.mark.parametrize("level", ["loud", ""])
def test_a_log_level_that_does_not_exist_is_refused(level: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="log_level"):
        parse({"daemon": {"log_level": level}})


# tomllib reads numbers of any length; messages carry integers up to 2^63 - 1.
@pytest.mark.parametrize(
    ("table", "name"),
    [("limits", "sessions_max"), ("daemon", "drain_s"), ("models", "keep_alive_s")],
)
def test_a_number_that_no_message_can_carry_is_refused(table: str, name: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=name):
        parse({table: {name: 10**400}})


values = st.recursive(
    st.booleans() | st.integers(-5, 1 << 40) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
names = st.sampled_from(
    [each.name for kind in TABLES.values() for each in dataclasses.fields(kind)]
)
groups = st.dictionaries(names | st.text(max_size=4), values, max_size=3) | values


@settings(deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "daemon": groups,
            "limits": groups,
            "models": groups,
            "devices": st.dictionaries(st.text(max_size=4), groups, max_size=2) | values,
        },
    )
)
def test_any_tables_are_read_or_refused(tables: dict[str, Any]) -> None:
    try:
        configuration = parse(tables)
    except ConfigurationInvalid:
        return
    assert configuration.devices
    for group in (configuration.daemon, configuration.limits, configuration.models):
        for each in dataclasses.fields(group):
            assert isinstance(getattr(group, each.name), type(each.default))


# --- Files ----------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inferd.toml"


def test_a_file_is_read(path: Path) -> None:
    path.write_text('[limits]\nsessions_max = 7\n[devices.GPU]\ndevice = "GPU.1"\n')
    configuration = read(path)
    assert configuration.limits == Limits(sessions_max=7)
    assert configuration.devices == {"GPU": DeviceSettings(device="GPU.1")}


def test_without_a_file_everything_has_its_default(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "SYSTEM_PATH", path)
    assert read(None) == Configuration()
    path.write_text("[limits]\nsessions_max = 7\n")
    assert read(None).limits.sessions_max == 7


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        (b"[limits\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"[limits]\nsessions_max = -1\n", "limits.sessions_max must be a whole number"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(path: Path, contents: bytes, complaint: str) -> None:
    path.write_bytes(contents)
    with pytest.raises(ConfigurationInvalid, match=complaint) as raised:
        read(path)
    assert str(path) in str(raised.value)


def test_a_file_that_was_asked_for_has_to_be_there(path: Path) -> None:
    for missing in (path, path.parent):
        with pytest.raises(ConfigurationInvalid, match=f"can't read the configuration {missing}"):
            read(missing)
