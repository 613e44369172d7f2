"""A network as a file for other programs: TensorFlow's SavedModel, ONNX, LiteRT.

write("onnx", run_dir / "model.keras", path)
probabilities = FORMATS["onnx"].open(path)(pixels)

All take what records hold, `pixels` [images, height, width, 1] uint16, 0..65535, of any number of
images, and give the network's outputs, `probability` [images, outputs] float32, 0..1. Scaling is
inside. `python -m trainer.exports.formats onnx model.keras model.onnx` is what `write` runs.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from records import cores, files
from records.errors import CallerError
from trainer.exports.export_json import Metadata
from trainer.metrics import typed_json
from trainer.model import own_backbone

Pixels = NDArray[np.uint16]
Floats = NDArray[np.float32]
Predict = Callable[[Pixels], Floats]
"""[images, height, width, 1] -> [images, outputs]."""

OPSET = 17
"""Of ONNX 1.12 (2022); onnxruntime reads it from its 1.12 on."""
_LARGEST = 2**31 - 1
"""Bytes: protobuf and FlatBuffers count in 32 bits with a sign, so one file holds no more."""
METADATA = "metadata.json"


@dataclasses.dataclass(frozen=True)
class Format:
    """One way to write a network.

    Attributes:
        file: name in the folder of an export.
        write: writes a network to a path.
        open: loads what was written, by a runtime that knows nothing of Keras.
        describe: puts into what was written what its users need.
        packages: distributions it takes beside TensorFlow; what is imported has the same name.
        largest: bytes a file can hold, None if it may be any number.
        opset: that of ONNX.
    """

    file: str
    write: Callable[[keras.Model, pathlib.Path], None]
    open: Callable[[pathlib.Path], Predict]
    describe: Callable[[pathlib.Path, Metadata], None]
    packages: tuple[str, ...] = ()
    largest: int | None = None
    opset: int | None = None

    @property
    def versions(self) -> dict[str, str]:
        """Versions of what wrote it and ran it."""
        return {name: importlib.metadata.version(name) for name in ("tensorflow", *self.packages)}


def check_packages(name: str) -> None:
    """Makes sure that what a format takes is installed and can be loaded.

    Raises:
        CallerError: it is not; one line with the remedy.
    """
    for package in FORMATS[name].packages:
        try:
            importlib.import_module(package)
        except Exception as error:  # a package that does not fit another raises anything
            raise CallerError(
                f"--formats={name} needs {package}, which can't be loaded "
                f"({_shorten(error)}); pip install -c constraints.txt -e '.[export]', or leave "
                f"{name} out of --formats"
            ) from error


def write(name: str, model: pathlib.Path, path: pathlib.Path) -> None:
    """Writes a saved network in a format.

    In a process of its own: TensorFlow's converter aborts the one it is in where it meets what it
    does not know, and the converters write pages of notes.

    Raises:
        CallerError: the format can't hold this network.
    """
    command = [sys.executable, "-m", "trainer.exports.formats", name, str(model), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error: " in line.lower()]
        why = (errors or [f"its process ended with {done.returncode}"])[-1]
        raise CallerError(
            f"--formats={name}: this network can't be converted ({_shorten(why)}); leave {name} "
            "out of --formats"
        )


def convert(name: str, model: keras.Model, path: pathlib.Path) -> None:
    """Writes a network in a format, in this process.

    Raises:
        ValueError: it is too large for one file.
    """
    largest = FORMATS[name].largest
    size = sum(weight.size * np.dtype(weight.dtype).itemsize for weight in model.get_weights())
    if largest is not None and size > largest:
        raise ValueError(f"{size / 1e9:.1f} GB of weights, one file holds {largest / 1e9:.1f}")
    FORMATS[name].write(model, path)


def _serving(model: keras.Model) -> Any:
    """Gives a network the signature of every format."""
    pixels = tf.TensorSpec([None, *model.input_shape[1:]], tf.uint16, name="pixels")

    @tf.function(input_signature=[pixels])
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": model(pixels, training=False)}

    return serve


def _write_saved_model(model: keras.Model, path: pathlib.Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", _serving(model))
    archive.write_out(str(path), verbose=False)


def _open_saved_model(path: pathlib.Path) -> Predict:
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    # the signature alone does not keep the weights alive
    return lambda pixels: (loaded, serve(pixels=tf.constant(pixels)))[1]["probability"].numpy()


def _write_onnx(model: keras.Model, path: pathlib.Path) -> None:
    import onnx
    import tf2onnx

    serve = _serving(model)
    converted, _ = tf2onnx.convert.from_function(
        serve, input_signature=serve.input_signature, opset=OPSET
    )
    for value in (*converted.graph.input, *converted.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "images"
    onnx.checker.check_model(converted, full_check=True)
    onnx.save(converted, str(path))


def _open_onnx(path: pathlib.Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["probability"], {"pixels": pixels})[0]


def _describe_saved_model(path: pathlib.Path, about: Metadata) -> None:
    """Writes assets.extra/metadata.json: the place that loaders leave alone."""
    folder = path / "assets.extra"
    folder.mkdir()
    files.write_json(folder / METADATA, typed_json.to_json(about))


def _describe_onnx(path: pathlib.Path, about: Metadata) -> None:
    """Sets metadata_props, text by key: what is not text as JSON."""
    import onnx

    model = onnx.load(str(path))
    model.doc_string = about.notice
    content = typed_json.to_json(about)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in content.items()})
    onnx.save(model, str(path))


def _describe_litert(path: pathlib.Path, about: Metadata) -> None:
    """Appends a zip of metadata.json, as TensorFlow Lite's associated files are kept."""
    with zipfile.ZipFile(path, "a") as archive:
        # a fixed date: the same bytes for the same network
        archive.writestr(zipfile.ZipInfo(METADATA), json.dumps(typed_json.to_json(about)))


def _write_litert(model: keras.Model, path: pathlib.Path) -> None:
    # by way of a SavedModel: from a function TensorFlow 2.17 aborts at Keras 3's variables
    with tempfile.TemporaryDirectory() as folder:
        _write_saved_model(model, pathlib.Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        # its own operations alone: those of TensorFlow ("flex") need a runtime built with them
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        path.write_bytes(converter.convert())


def _open_litert(path: pathlib.Path) -> Predict:
    interpreter = tf.lite.Interpreter(str(path), num_threads=cores.count())
    serve = interpreter.get_signature_runner("serving_default")
    return lambda pixels: serve(pixels=pixels)["probability"]


def _shorten(text: object) -> str:
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(text).__name__


FORMATS = {
    "saved_model": Format(
        "saved_model", _write_saved_model, _open_saved_model, _describe_saved_model
    ),
    "onnx": Format(
        "model.onnx",
        _write_onnx,
        _open_onnx,
        _describe_onnx,
        packages=("tf2onnx", "onnx", "onnxruntime"),
        largest=_LARGEST,
        opset=OPSET,
    ),
    "litert": Format(
        "model.tflite", _write_litert, _open_litert, _describe_litert, largest=_LARGEST
    ),
}

if __name__ == "__main__":
    wanted, source, target = sys.argv[1:]
    convert(wanted, own_backbone.load_network(pathlib.Path(source)), pathlib.Path(target))
