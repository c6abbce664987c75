"""What a message to another process and back costs, with bare pyzmq and nothing else.

    DEALER (this process) --64 bytes--> ROUTER (python -m benchmarks.echo) --the same--> DEALER

The server ends with the process that started it: its standard input closes then.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zmq

from benchmarks.machine import ROOT
from benchmarks.samples import Call

MESSAGE: Final = bytes(64)


@contextlib.contextmanager
def echo(directory: Path) -> Iterator[Call]:
    """Start a server; yield the call that sends it a message and waits for the echo."""
    endpoint = f"ipc://{directory / 'echo'}"
    with _server(endpoint), zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(endpoint)

        def call() -> None:
            dealer.send(MESSAGE)
            dealer.recv()

        yield call


def serve(endpoint: str) -> None:
    """Send every message back until the process that started this one is gone."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        print("ready", flush=True)
        while True:
            router.send_multipart(router.recv_multipart())


@contextlib.contextmanager
def _server(endpoint: str) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.echo", endpoint],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for the benchmark, which ends us
    ) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise SystemExit("the echo server did not start")
            yield
        finally:
            process.kill()


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.echo", description="Send every message back."
    )
    parser.add_argument("endpoint", help="where to listen, as ipc://PATH")
    serve(parser.parse_args().endpoint)
