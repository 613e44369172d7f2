"""A base of one's own: `--base=FILE.py:FUNCTION` or `package.module:FUNCTION`, and --input_range.

The function makes (height, width, weights) a Keras model of features; `weights` is None, a path or
"imagenet".
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import pathlib
import re

from records.errors import CallerError

FORM = "FILE.py:FUNCTION"
RANGES = "-1:1, 0:1, 0:255 or any LOW:HIGH, or imagenet (its mean 0, its deviation 1)"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_own(base: str) -> bool:
    """Whether --base names a function and no network of keras.applications."""
    return ":" in base or base.endswith(".py")


def split(base: str) -> tuple[str, str]:
    """Splits --base into file or module, and function.

    Raises:
        CallerError: it is of another form.
    """
    place, _, function = base.rpartition(":")
    if function.isidentifier() and (place.endswith(".py") or _MODULE.fullmatch(place)):
        return place, function
    raise CallerError(
        f"--base={base} is neither a network of keras.applications nor {FORM} or "
        "package.module:FUNCTION; name the function behind a colon"
    )


def short_name(base: str) -> str:
    """Names a base for folders and pages: `net.build` of models/net.py:build."""
    if not is_own(base):
        return base
    place, function = split(base)
    stem = pathlib.Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
    return f"{stem}.{function}"


def check_range(text: str) -> tuple[float, float] | None:
    """Reads --input_range: (low, high), None for imagenet.

    Raises:
        CallerError: it is neither.
    """
    if text == "imagenet":
        return None
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        low = high = math.nan
    if not (low < high and math.isfinite(high - low)):
        raise CallerError(f"--input_range={text} is not {RANGES}")
    return low, high


def find(base: str) -> pathlib.Path:
    """Finds the file that a base of one's own is written in.

    Raises:
        CallerError: there is none.
    """
    place, _ = split(base)
    if place.endswith(".py"):
        path = pathlib.Path(place)
        if not path.is_file():
            raise CallerError(f"--base={base}: {place} is not a file; give {FORM}")
        return path
    try:
        spec = importlib.util.find_spec(place)
    except Exception as error:  # a package's own code runs
        raise CallerError(
            f"--base={base}: {place} can't be imported ({type(error).__name__}: {error}); install "
            f"it, or give {FORM}"
        ) from error
    if spec is None or spec.origin is None or not pathlib.Path(spec.origin).is_file():
        raise CallerError(
            f"--base={base}: no module {place} is installed or in this folder; give {FORM}"
        )
    return pathlib.Path(spec.origin)


def fingerprint(base: str) -> str | None:
    """Digests the file of a base of one's own, None of a base of keras.applications.

    Raises:
        CallerError: there is no such file.
    """
    if not is_own(base):
        return None
    return hashlib.sha256(find(base).read_bytes()).hexdigest()[:16]
