"""``inferd COMMAND``: parses the arguments, runs the command, turns errors into exit statuses."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from inferd import __version__
from inferd.shm.errors import DaemonNotFound, InferdError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_DAEMON: Final = 3
EXIT_INTERRUPTED: Final = 130

# A command's module is imported only when it runs: `inferd status` does not wait for the others.
COMMANDS: Final = {
    "serve": "run the daemon",
    "status": "show devices, models and sessions of the running daemon",
    "run": "execute a model on an input, and time it",
    "demo": "classify real images from four processes, and show what sharing saves",
}

Command = Callable[[argparse.Namespace], int]


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """Return the parser; only the chosen command's module is imported and adds its arguments."""
    parser = argparse.ArgumentParser(
        prog="inferd",
        description="Share one copy of each model between the processes of this machine.",
        epilog="exit status: 0 good, 1 failed, 2 usage, 3 no daemon",
    )
    parser.add_argument("--version", action="version", version=f"inferd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if name == chosen:
            module = importlib.import_module(f"inferd.daemon.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in words if word in COMMANDS), None)
    try:
        parsed = build_parser(chosen).parse_args(words)
        run: Command = parsed.run
        return run(parsed)
    except DaemonNotFound as why:
        return _fail(why, EXIT_NO_DAEMON)
    except InferdError as why:
        return _fail(why, EXIT_FAILED)
    except KeyboardInterrupt:
        os._exit(EXIT_INTERRUPTED)  # at once: the client may have been interrupted anywhere
    except BrokenPipeError:  # the reader of our output has left, as in `inferd status | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _fail(why: InferdError, status: int) -> int:
    lines = (line.strip() for line in str(why).splitlines())  # engines say things in several
    print(f"inferd: {' '.join(filter(None, lines))}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
