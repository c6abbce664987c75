"""What the documents say is what the code does."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from daemons import DEADLINE_S

import inferd
from inferd.daemon import config
from inferd.daemon.cli.main import COMMANDS, build_parser
from inferd.shm import errors, layouts, ports, wire

ROOT: Final = Path(__file__).parents[1]


def blocks(document: str, *languages: str) -> list[str]:
    """Return the code blocks of a document in one of these languages."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for language, code in found if language in languages]


# --- docs/protocol.md -----------------------------------------------------------------------------


def messages(module: Any) -> dict[str, tuple[str, ...]]:
    """Return the fields of each message that a module declares, in order."""
    return {
        name: kind._fields
        for name, kind in vars(module).items()
        if hasattr(kind, "_fields") and kind.__module__ == module.__name__
    }


def documented_messages() -> list[tuple[str, tuple[str, ...]]]:
    """Return what the rows "| `Submit` | `request`, `sequence` | ... |" tell."""
    text = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| *`([A-Z]\w*)` *\| *((?:`\w+`(?:, )?)*) *\|", text, re.MULTILINE)
    return [(name, tuple(re.findall(r"\w+", fields))) for name, fields in rows]


@pytest.mark.parametrize("name", messages(wire))
def test_the_protocol_page_tells_every_message_with_its_fields(name: str) -> None:
    told = [fields for other, fields in documented_messages() if other == name]
    assert told, f"docs/protocol.md has no row for {name}"
    assert set(told) == {messages(wire)[name]}


def test_the_protocol_page_tells_of_no_message_that_does_not_exist() -> None:
    known = {**messages(wire), **messages(layouts), **messages(ports), **vars(errors)}
    assert [name for name, _ in documented_messages() if name not in known] == []


# --- docs/configuration.md ------------------------------------------------------------------------


def test_the_configuration_page_shows_every_setting() -> None:
    assert config.describe() in blocks("docs/configuration.md", "toml")


# --- README.md ------------------------------------------------------------------------------------

PROGRAMS: Final = blocks("README.md", "python")


def commands(shell: str) -> Iterator[list[str]]:
    """Yield the arguments of each `inferd` that a piece of shell calls."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        call: list[str] = []
        for word in [*lexer, ";"]:
            if not word.strip("();<>|&"):
                if call and call[0] == "inferd":
                    yield call[1:]
                call = []
            elif call or not (word in ("$", "sudo") or "=" in word):
                call.append(word)


COMMAND_LINES: Final = [
    arguments
    for block in blocks("README.md", "bash", "sh", "shell", "console")
    for arguments in commands(block)
]


def test_the_readme_shows_a_program_and_commands() -> None:
    assert PROGRAMS
    assert COMMAND_LINES


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_of_the_readme_runs(program: str, tmp_path: Path) -> None:
    nowhere = {"INFERD_RUNTIME_DIR": str(tmp_path / "none"), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", COMMAND_LINES, ids=" ".join)
def test_a_command_of_the_readme_exists(arguments: list[str]) -> None:
    chosen = next((word for word in arguments if word in COMMANDS), None)
    build_parser(chosen).parse_args(arguments)


def test_commands_are_found_in_a_shell() -> None:
    shell = """
        $ inferd status --json | head -1   # a comment with inferd
        sudo X=1 inferd serve \\
            --config 'a b.toml' > log &
        pip install inferd '.[openvino]' && inferd demo; (inferd --version)
    """
    assert list(commands(shell)) == [
        ["status", "--json"],
        ["serve", "--config", "a b.toml"],
        ["demo"],
        ["--version"],
    ]


# --- CHANGELOG.md ---------------------------------------------------------------------------------


def test_the_newest_version_of_the_changelog_is_this_one() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[?v?(\d+\.\d+[\w.+-]*)", text, re.MULTILINE)
    assert versions[0] == inferd.__version__


# --- The type checker -----------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_the_type_checker_sees_every_file(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout: who knows which files belong to it?")
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    mypy = [sys.executable, "-m", "mypy", "--linecount-report", str(tmp_path)]
    subprocess.run(mypy, cwd=ROOT, capture_output=True, timeout=280)
    report = (tmp_path / "linecount.txt").read_text()
    seen = {line.split()[-1] for line in report.splitlines()}
    tracked = [path for path in listed.stdout.splitlines() if (ROOT / path).exists()]
    assert [path for path in tracked if module_of(path) not in seen] == []


def module_of(path: str) -> str:
    """Return the name under which a file of the repository is imported."""
    folder, *rest = Path(path).with_suffix("").parts
    package = (ROOT / "inferd" / folder).is_symlink()
    parts = ["inferd", folder, *rest] if package else [folder, *rest]
    if parts[0] == "tests":
        parts = parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
