"""Reads and compiles models in threads of its own, so that a worker's loop never waits for it."""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from inferd.daemon.engines.base import CompiledModel, Engine, ModelFacts, ModelFile
from inferd.shm.errors import InferdError, ModelInvalid, ModelNotFound, OverBudget
from inferd.shm.wire import Reshape

THREADS: Final = 2  # one long compilation does not keep the next session waiting
_READ_BYTES: Final = 1 << 20

Post = Callable[[Callable[[], None]], None]


class ReadModel:
    """The files of a model and what identifies them."""

    def __init__(self, files: Sequence[ModelFile]) -> None:
        self.files = files
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.name if len(files) > 1 else ''}\0{len(file.content)}\0".encode())
            digest.update(file.content)
        self.digest = digest.digest()


class Compiler:
    """Each call ends with exactly one of its callbacks, which runs wherever ``post`` runs it."""

    def __init__(self, engine: Engine, model_bytes_max: int, post: Post) -> None:
        self._engine = engine
        self._model_bytes_max = model_bytes_max
        self._post = post
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="compile")

    def read(
        self,
        names: Sequence[str],
        descriptors: Sequence[int],
        done: Callable[[ReadModel], None],
        failed: Callable[[InferdError], None],
    ) -> None:
        """Read the files behind descriptors, which are closed then."""

        def work() -> None:
            try:
                contents = self._read_all(descriptors)
                files = [ModelFile(*pair) for pair in zip(names, contents, strict=True)]
                model = ReadModel(files)
            except InferdError as why:
                self._post(lambda error=why: failed(error))  # type: ignore[misc]
            else:
                self._post(lambda: done(model))

        self._threads.submit(work)

    def compile(
        self,
        model: ReadModel,
        properties: Mapping[str, str],
        shapes: Sequence[Reshape],
        done: Callable[[CompiledModel, float], None],
        failed: Callable[[InferdError], None],
    ) -> None:
        """Compile; ``done`` gets the compiled model and the milliseconds that it took."""

        def work() -> None:
            started_s = time.monotonic()
            try:
                compiled = self._engine.compile(model.files, properties, shapes)
            except InferdError as why:
                self._post(lambda error=why: failed(error))  # type: ignore[misc]
            except Exception as why:  # an engine may raise anything
                error = ModelInvalid(f"the engine failed: {type(why).__name__}: {why}")
                self._post(lambda: failed(error))
            else:
                took_ms = (time.monotonic() - started_s) * 1e3
                self._post(lambda: done(compiled, took_ms))

        self._threads.submit(work)

    def describe(
        self,
        model: ReadModel,
        shapes: Sequence[Reshape],
        done: Callable[[ModelFacts], None],
        failed: Callable[[InferdError], None],
    ) -> None:
        """Tell what a model has."""

        def work() -> None:
            try:
                facts = self._engine.read(model.files, shapes)
            except InferdError as why:
                self._post(lambda error=why: failed(error))  # type: ignore[misc]
            except Exception as why:  # an engine may raise anything
                error = ModelInvalid(f"the engine failed: {type(why).__name__}: {why}")
                self._post(lambda: failed(error))
            else:
                self._post(lambda: done(facts))

        self._threads.submit(work)

    def _read_all(self, descriptors: Sequence[int]) -> list[bytes]:
        try:
            total = 0
            for descriptor in descriptors:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise ModelNotFound("a model must be a regular file")
                total += status.st_size
            if total > self._model_bytes_max:
                raise OverBudget(
                    f"the model has {total} bytes, but the daemon takes at most "
                    f"{self._model_bytes_max} (limits.model_bytes_max)"
                )
            return [_read(descriptor) for descriptor in descriptors]
        except OSError as why:
            raise ModelNotFound(f"can't read the model: {why.strerror}") from why
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _read(descriptor: int) -> bytes:
    """Read a file from its beginning, whatever the position that its sender shares with us."""
    content = bytearray()
    while chunk := os.pread(descriptor, _READ_BYTES, len(content)):
        content += chunk
    return bytes(content)
