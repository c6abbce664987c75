"""Train a small network on handwritten digits and leave it beside this file as ONNX.

It writes

* ``digits.onnx``: ``image`` float32 (1, 1, 8, 8), raw pixels 0 to 16 -> ``scores`` float32
  (1, 10), one probability per digit;
* ``digits_test.npz``: the held-out ``images`` float32 (N, 1, 8, 8), 0 to 16, and their
  ``labels`` int64 (N,), 0 to 9.

No held-out image is ever trained on; the hyperparameters below were chosen by cross-validation
inside the training part alone. The seeds are fixed: the same library versions on the same kind
of machine train the same network again. It takes about ten seconds and needs nothing but
``pip install onnx scikit-learn``; the images come with scikit-learn (Alpaydin and Kaynak,
"Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, CC BY 4.0).
"""

import warnings
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

MODEL_PATH: Final = Path(__file__).with_name("digits.onnx")
TEST_PATH: Final = Path(__file__).with_name("digits_test.npz")

SEED: Final = 0
HELD_OUT_SHARE: Final = 0.3
PIXEL_MAX: Final = 16.0
SIDE_PIXELS: Final = 8
IMAGE_SHAPE: Final = (1, 1, SIDE_PIXELS, SIDE_PIXELS)
SCORES_SHAPE: Final = (1, 10)
HIDDEN_UNITS: Final = 256
EPOCHS: Final = 100
L2_PENALTY: Final = 1e-3
SHIFTS_PIXELS: Final = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))  # (down, right)
OPSET: Final = 17
IR_VERSION: Final = 8

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


def split_digits() -> tuple[Floats, Floats, Integers, Integers]:
    """Split the digits, each class in the same proportion.

    Returns
    -------
    train_images, test_images : ndarray, shape (N, 1, 8, 8), dtype float32
        Raw pixels, 0 to 16.
    train_labels, test_labels : ndarray, shape (N,), dtype int64
        The digit, 0 to 9.
    """
    pixels, labels = load_digits(return_X_y=True)
    images = pixels.astype(np.float32).reshape(-1, 1, SIDE_PIXELS, SIDE_PIXELS)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images,
        labels.astype(np.int64),
        test_size=HELD_OUT_SHARE,
        stratify=labels,
        random_state=SEED,
    )
    return train_images, test_images, train_labels, test_labels


def shifted(images: Floats, down: int, right: int) -> Floats:
    """Move every image by at most one pixel; what leaves is lost, what enters is blank.

    Parameters
    ----------
    images : ndarray, shape (N, 1, 8, 8), dtype float32
        Raw pixels, 0 to 16.
    down, right : int
        Pixels, -1 to 1.

    Returns
    -------
    ndarray, shape (N, 1, 8, 8), dtype float32
    """
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    top, left = 1 - down, 1 - right
    return framed[:, :, top : top + SIDE_PIXELS, left : left + SIDE_PIXELS]


def train(images: Floats, labels: Integers) -> MLPClassifier:
    """Fit the network to the images and to their neighbours one pixel away.

    Parameters
    ----------
    images : ndarray, shape (N, 1, 8, 8), dtype float32
        Raw pixels, 0 to 16; the network itself sees 0.0 to 1.0.
    labels : ndarray, shape (N,), dtype int64
    """
    seen = np.concatenate([shifted(images, down, right) for down, right in SHIFTS_PIXELS])
    network = MLPClassifier((HIDDEN_UNITS,), alpha=L2_PENALTY, max_iter=EPOCHS, random_state=SEED)
    with warnings.catch_warnings():
        # EPOCHS is the length we chose, not a limit we hit
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(seen.reshape(len(seen), -1) / PIXEL_MAX, np.tile(labels, len(SHIFTS_PIXELS)))
    return network


def network_graph(weights: dict[str, Floats]) -> onnx.GraphProto:
    """Draw the network: image (1, 1, 8, 8), 0 to 16 -> scores (1, 10), 0.0 to 1.0."""
    nodes = [
        helper.make_node("Mul", ["image", "pixel_scale"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["pixels"], axis=1),
        helper.make_node("Gemm", ["pixels", "hidden_weights", "hidden_bias"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "score_weights", "score_bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, IMAGE_SHAPE)
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, SCORES_SHAPE)
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    return helper.make_graph(nodes, "digits", [image], [scores], constants)


def to_onnx(network: MLPClassifier) -> onnx.ModelProto:
    """Turn the trained network into a checked model that takes raw pixels."""
    weights = {
        "pixel_scale": np.array(1.0 / PIXEL_MAX, dtype=np.float32),
        "hidden_weights": network.coefs_[0],  # (64, HIDDEN_UNITS)
        "hidden_bias": network.intercepts_[0],
        "score_weights": network.coefs_[1],  # (HIDDEN_UNITS, 10)
        "score_bias": network.intercepts_[1],
    }
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(network_graph(weights), opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def accuracy(model_path: Path, test_path: Path) -> float:
    """Share of the stored images, 0.0 to 1.0, whose digit the stored model scores highest."""
    model = ReferenceEvaluator(str(model_path))
    with np.load(test_path) as test:
        images, labels = test["images"], test["labels"]
    scores = np.array([model.run(["scores"], {"image": image[np.newaxis]}) for image in images])
    digits = scores.reshape(len(images), -1).argmax(axis=1)
    return float(np.mean(digits == labels))


def main() -> None:
    """Split, train, write both files, then score them as a reader would find them."""
    train_images, test_images, train_labels, test_labels = split_digits()
    onnx.save(to_onnx(train(train_images, train_labels)), MODEL_PATH)
    np.savez_compressed(TEST_PATH, images=test_images, labels=test_labels)
    for path in (MODEL_PATH, TEST_PATH):
        print(f"{path.name}: {path.stat().st_size} bytes")
    share = accuracy(MODEL_PATH, TEST_PATH)
    print(f"accuracy on {len(test_labels)} held-out images: {share:.2%}")


if __name__ == "__main__":
    main()
