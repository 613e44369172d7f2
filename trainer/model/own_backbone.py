"""A base of one's own: the function that --base names -> Keras model of features, checked."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pathlib
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

import h5py
import keras
import numpy as np

from flags import own_base
from flags.network_config import Network
from records import files
from records.errors import CallerError
from records.image_size import ImageSize


def build(config: Network, size: ImageSize) -> keras.Model:
    """Calls the function, and checks that it makes a map of features of images of this size.

    Returns:
        functional model of [batch, height, width, 3] float32 -> [batch, rows, columns, channels].

    Raises:
        CallerError: it can't be imported or called, or makes something else; one line.
    """
    said = f"--base={config.base}"
    function = _import(config.base)
    weights = None if config.weights in ("auto", "random") else config.weights
    arguments = (size.height, size.width, weights)
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError) as error:
        raise CallerError(
            f"{said} can't be called with (height, width, weights): {error}"
        ) from error
    model = _call(config.base, lambda: function(*arguments))
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise CallerError(
            f"{said} gave {model!r:.80}, wanted a model of features; "
            "return keras.Model(image, features)"
        )
    wanted = (None, size.height, size.width, 3)
    inputs, outputs = ([tuple(one.shape) for one in part] for part in (model.inputs, model.outputs))
    if len(inputs) > 1 or not _fits(inputs[0], wanted):
        raise CallerError(f"{said} takes {inputs}, wanted {wanted}; use height, width, 3 channels")
    # of this size, and nothing of a class of the function's own goes into the file of the network
    image, plain = keras.Input(wanted[1:]), keras.Model(model.inputs[0], model.outputs)
    base = _call(config.base, lambda: keras.models.clone_model(plain, input_tensors=image))
    features = base.outputs[0].shape
    if len(outputs) > 1 or len(features) != 4 or not all(features[1:]):
        raise CallerError(
            f"{said} gave features {outputs}, wanted one map [batch, rows, columns, channels]; "
            "leave out pooling, flattening and the top"
        )
    base = keras.Model(image, base.outputs[0])
    base.set_weights(plain.get_weights())
    _call(config.base, lambda: keras.Model.from_config(base.get_config()))
    return base


def check_weights(base: keras.Model, config: Network) -> str | None:
    """Makes sure that a function used the file of weights it was given.

    Constant arrays, such as biases of 0, tell nothing: they are what any base begins with.

    Returns:
        a warning where it used only a part.

    Raises:
        CallerError: no array of the file is in the base.
    """
    stored: set[int] = set()

    def keep(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            stored.add(_digest(np.asarray(item[()])))

    try:
        with h5py.File(config.weights) as file:
            file.visititems(keep)
    except OSError as error:
        raise CallerError(f"--weights={config.weights} is no file of weights ({error})") from error
    arrays = [keras.ops.convert_to_numpy(one) for one in base.weights]
    loaded = [_digest(one) in stored for one in arrays if np.ptp(one) > 0]
    if not any(loaded):
        raise CallerError(
            f"--base={config.base} has no array of --weights={config.weights}; load the file in "
            "the function, or give --weights=random"
        )
    if all(loaded):
        return None
    return f"{sum(loaded)} of {len(loaded)} arrays of the base are those of {config.weights}"


def load_network(path: pathlib.Path) -> keras.Model:
    """Opens model.keras of a run folder; classes that are not Keras's own come from its --base.

    Raises:
        CallerError: these are not to be had.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except TypeError as error:
        unknown = "".join(re.findall(r"Could not [^.]+", str(error))[:1]) or str(error)[:100]
        about = path.with_name("config.json")
        content = files.read_json(about, remedy="name another run") if about.is_file() else {}
        base = content.get("base", "")
        if not content.get("base_source"):
            raise CallerError(f"{path} can't be opened: {unknown}") from error
        if own_base.fingerprint(base) != content["base_source"]:
            raise CallerError(
                f"{path} needs {base} as it was, and it has changed since: {unknown}"
            ) from error
        _import(base)
        return _call(base, lambda: keras.models.load_model(path, compile=False))


def _fits(shape: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        one in (None, other) for one, other in zip(shape, wanted, strict=True)
    )


def _digest(values: np.ndarray) -> int:
    return hash((values.shape, values.astype(np.float32).tobytes()))


def _import(base: str) -> Callable[..., Any]:
    """Imports the function that --base names."""
    path, (place, name) = own_base.find(base), own_base.split(base)
    importing = _import_file if place.endswith(".py") else importlib.import_module
    module = _call(base, lambda: importing(place))
    function = getattr(module, name, None)
    if not callable(function):
        there = ", ".join(n for n, one in vars(module).items() if inspect.isfunction(one))
        raise CallerError(
            f"--base={base}: {path} has no function {name}; it has {there or 'none at all'}"
        )
    return function


def _import_file(path: str) -> Any:
    name = f"own_base_{pathlib.Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def _call(base: str, function: Callable[[], Any]) -> Any:
    """Runs what is not ours; what it raises becomes one line with its type and place."""
    try:
        return function()
    except (Exception, SystemExit) as error:
        path = own_base.find(base).resolve()
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if pathlib.Path(frame.filename).resolve() == path
        ]
        lines += [error.lineno] if isinstance(error, SyntaxError) else []
        where = f" in line {lines[-1]}" if lines else ""
        text = " ".join(str(error).split())[:300]
        raise CallerError(f"--base={base}: {type(error).__name__}{where}: {text}") from error
