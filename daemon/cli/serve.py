"""``inferd serve``: run the daemon."""

import argparse
import dataclasses
import os
from pathlib import Path

from inferd.daemon import config
from inferd.daemon.log import LEVELS, configure
from inferd.daemon.runtime_dir import RuntimeDirectory, default_path
from inferd.daemon.supervisor import serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"configuration (default: {config.SYSTEM_PATH})"
    )
    parser.add_argument(
        "--runtime-dir",
        type=Path,
        metavar="DIR",
        help="directory of the sockets (default: $INFERD_RUNTIME_DIR, else "
        "$XDG_RUNTIME_DIR/inferd, else /run/inferd)",
    )
    parser.add_argument("--log-level", choices=LEVELS, help="how much to say on stderr")
    parser.add_argument(
        "--print-config", action="store_true", help="print every setting with its default, and end"
    )
    parser.add_argument("--private", type=int, metavar="PID", help=argparse.SUPPRESS)
    parser.add_argument("--ready", type=int, metavar="FD", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    if arguments.print_config:
        print(config.describe(), end="", flush=True)
        return 0
    configuration = config.read(arguments.config)
    if arguments.log_level:
        daemon = dataclasses.replace(configuration.daemon, log_level=arguments.log_level)
        configuration = dataclasses.replace(configuration, daemon=daemon)
    configure(configuration.daemon.log_level)
    chosen = arguments.runtime_dir or configuration.daemon.runtime_dir or default_path()
    directory = RuntimeDirectory(Path(chosen))
    try:
        serve(configuration, directory, arguments.private, lambda: _say_ready(arguments.ready))
    finally:
        directory.close(remove=arguments.private is not None)
    return 0


def _say_ready(descriptor: int | None) -> None:
    """Tell the process that started us that clients may connect."""
    if descriptor is not None:
        os.write(descriptor, b"1")
        os.close(descriptor)
