"""One process of the demo: classifies all held-out images, over the module that it is told to use.

It says "ready" when its model is compiled, starts on a line from its parent, prints what it found,
and stays until its parent closes the pipe, so that its memory can be measured.
"""

import importlib
import json
import queue
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

IN_FLIGHT = 4


def main(module: str, examples: Path, passes: int) -> None:
    """Run the demo's client; ``module`` is ``openvino`` or ``inferd.client``."""
    started_s = time.monotonic()
    ov = importlib.import_module(module)
    model = ov.Core().compile_model(str(examples / "digits.onnx"), "CPU")
    held_out = np.load(examples / "digits_test.npz")
    images, labels = held_out["images"], held_out["labels"]
    model(images[:1])
    print(json.dumps({"ready_s": time.monotonic() - started_s}), flush=True)
    if not sys.stdin.readline():  # our parent has ended
        return
    predicted = classify(model, images, passes)
    correct = int((predicted == labels).sum())
    print(json.dumps({"classified": predicted.size, "correct": correct}), flush=True)
    sys.stdin.read()


def classify(model: Any, images: np.ndarray[Any, Any], passes: int) -> np.ndarray[Any, Any]:
    """Return the predicted digit of each image in each pass, shape (passes, N), dtype int64.

    ``images`` has shape (N, 1, 8, 8), dtype float32. Several requests are in flight; each callback
    reads its scores and gives its request back.
    """
    predicted = np.full((passes, len(images)), -1)
    requests = [model.create_infer_request() for _ in range(IN_FLIGHT)]
    idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take(job: tuple[Any, int, int]) -> None:
        request, lap, index = job
        predicted[lap, index] = request.get_output_tensor().data.argmax()
        idle.put(request)

    for request in requests:
        request.set_callback(take, None)
        idle.put(request)
    for lap in range(passes):
        for index, image in enumerate(images):
            request = idle.get()
            request.start_async(image[None], (request, lap, index))
    for request in requests:
        request.wait()
        request.set_callback(_ignore, None)  # a callback's userdata would keep its request alive
    return predicted


def _ignore(userdata: Any) -> None:
    """Take the place of a callback that is no longer wanted."""


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
