"""Fixtures: real daemons, each in a directory of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Daemon


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with two workers that many tests use, found through the environment."""
    directory = tmp_path_factory.mktemp("shared", numbered=True)
    with Daemon(directory, devices=("CPU", "second")) as daemon:
        os.environ["INFERD_RUNTIME_DIR"] = str(daemon.runtime_dir)
        yield daemon
        del os.environ["INFERD_RUNTIME_DIR"]


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A daemon of this test's own."""
    with Daemon(tmp_path) as daemon:
        monkeypatch.setenv("INFERD_RUNTIME_DIR", str(daemon.runtime_dir))
        yield daemon
