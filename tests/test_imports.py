"""Who may import whom. A module that is not in these tables may import what its folder may."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import inferd

ROOT = Path(inferd.__file__).parent

# What of ours the modules of a folder may import; the first folder that matches counts.
OURS = {
    "shm": ("inferd.shm",),
    "client": ("inferd.__version__", "inferd.client", "inferd.shm"),
    "daemon/cli": ("inferd",),
    "daemon": ("inferd.__version__", "inferd.daemon", "inferd.shm"),
}

# The only modules that may import these libraries.
ONLY = {
    "mmap": ["shm/segment.py"],
    "openvino": ["daemon/engines/openvino.py"],
    "zmq": [
        "client/channels.py",
        "client/link.py",
        "daemon/router.py",
        "daemon/supervisor.py",
        "daemon/worker.py",
    ],
}

# Modules that decide and do nothing else: time and bytes are arguments there.
PURE = [
    *(
        f"shm/{name}.py"
        for name in (
            "codec",
            "element_type",
            "errors",
            "free_list",
            "layouts",
            "ports",
            "states",
            "wire",
        )
    ),
    "client/session.py",
    *(f"daemon/{name}.py" for name in ("config", "models", "scheduler", "sessions", "status")),
]
IMPURE = {"asyncio", "select", "socket", "subprocess", "threading", "time", "zmq"}

FILES = {
    path.relative_to(ROOT).as_posix(): path
    for folder in ("shm", "client", "daemon")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def imports(file: str) -> Iterator[str]:
    """Everything that a module imports anywhere, by its full name."""
    for node in ast.walk(ast.parse(FILES[file].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("file", FILES)
def test_a_module_imports_of_ours_only_what_its_folder_may(file: str) -> None:
    allowed = next(names for folder, names in OURS.items() if file.startswith(folder + "/"))
    ours = [name for name in imports(file) if is_in(name, "inferd")]
    assert [name for name in ours if not any(is_in(name, each) for each in allowed)] == []


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_imported_where_it_belongs_and_nowhere_else(library: str) -> None:
    users = [file for file in FILES if any(is_in(name, library) for name in imports(file))]
    assert sorted(users) == ONLY[library]


@pytest.mark.parametrize("file", PURE)
def test_a_module_that_decides_imports_nothing_that_acts(file: str) -> None:
    assert {name.split(".")[0] for name in imports(file)} & IMPURE == set()


def test_the_client_loads_neither_the_daemon_nor_an_engine() -> None:
    code = "import sys, inferd.client; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    names = loaded.stdout.decode().splitlines()
    assert "inferd.client" in names
    unwanted = ("inferd.daemon", "psutil", "openvino")
    assert [name for name in names if any(is_in(name, each) for each in unwanted)] == []
