"""Images with damaged bytes: every one must give an image or a reason, in bounded time and memory.

    python tests/beam_jobs/imaging/fuzz.py --seconds=240 [--seed=1]

Damaged images are decoded in child processes, so that a codec that crashes, hangs or eats memory
is caught and the case named: `--case=NUMBER` runs one again, in this process. Images are made here,
a small one of every kind, and all under 300 kB of the real ones where MAMMOGRAM_DATA has them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import cv2
import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.encaps import encapsulate

from beam_jobs.imaging import decode
from beam_jobs.imaging.unusable import UnusableImage

SECONDS_A_IMAGE = 10
MEMORY = 2 << 30
_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def _load_make():
    """Loads tests/make.py by its path: this file is a program, too."""
    path = pathlib.Path(__file__).parents[2] / "make.py"
    spec = importlib.util.spec_from_file_location("make", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make"] = module
    spec.loader.exec_module(module)
    return module


def make_images() -> dict[str, bytes]:
    """Makes a small image of every kind that can be decoded."""
    make = _load_make()
    generator = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(generator.integers(0, 4096, (41, 29)).astype(np.float32), (0, 0), 2)
    image = smooth.astype(np.uint16)
    image8 = (image >> 4).astype(np.uint8)
    images = {
        syntax.keyword: make.dicom(image, bits_stored=12, syntax=syntax)
        for syntax in (
            uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
            uid.DeflatedExplicitVRLittleEndian,
        )
    }  # fmt: skip
    images["rle"] = make.dicom(image, bits_stored=12, rle=True)
    streams = {
        uid.JPEGBaseline8Bit: imagecodecs.jpeg8_encode(image8, level=90),
        uid.JPEGExtended12Bit: imagecodecs.jpeg8_encode(image, level=90, bitspersample=12),
        uid.JPEGLosslessSV1: imagecodecs.jpeg8_encode(
            image, lossless=True, predictor=1, bitspersample=12
        ),
        uid.JPEGLSLossless: imagecodecs.jpegls_encode(image),
        uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(
            image, level=0, codecformat="J2K", reversible=True, bitspersample=12
        ),
        uid.HTJ2KLossless: imagecodecs.htj2k_encode(image, reversible=True),
    }
    for syntax, stream in streams.items():
        pixels, bits = (image8, 8) if syntax == uid.JPEGBaseline8Bit else (image, 12)
        images[syntax.keyword] = make.dicom(
            pixels, bits_stored=bits, syntax=syntax, PixelData=encapsulate([bytes(stream)]),
            WindowCenter=[2000, 900], WindowWidth=[3000, 40], RescaleSlope=2, RescaleIntercept=-9,
            PixelPaddingValue=0,
        )  # fmt: skip
    images["pgm"] = b"P5 29 41 255\n" + image8.tobytes()
    images["png8"], images["png16"] = (
        imagecodecs.png_encode(image8),
        imagecodecs.png_encode(image << 4),
    )
    images["jpeg"] = imagecodecs.jpeg8_encode(image8, level=90)
    images["jpeg_progressive"] = cv2.imencode(".jpg", image8, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
    for name, method in (("none", 1), ("lzw", 5), ("deflate", 8), ("packbits", 32773)):
        coded = cv2.imencode(".tiff", image << 4, [cv2.IMWRITE_TIFF_COMPRESSION, method])[1]
        images[f"tiff_{name}"] = coded
    return {name: bytes(data) for name, data in images.items()}


def read_images() -> dict[str, bytes]:
    """Reads the small ones among the real images."""
    folder = pathlib.Path(os.environ.get("MAMMOGRAM_DATA", "/nonexistent")) / "dicom"
    files = sorted(folder.glob("*.dcm"))
    return {path.name: path.read_bytes() for path in files if path.stat().st_size < 300_000}


def damage(data: bytes, other: bytes, generator: random.Random) -> bytes:
    """Damages an image in one to four places."""
    damaged = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 4))):
        # headers lie at both ends of a small file; most of it is pixels
        reach = generator.choice((64, 1024, len(damaged)))
        at = generator.randrange(max(1, min(reach, len(damaged))))
        if generator.random() < 0.3 and len(damaged) > 700:
            at = min(len(damaged) - 1, 450 + generator.randrange(400))
        length = generator.choice((1, 1, 2, 4, 8, 64))
        kind = generator.choice(("flip", "number", "number", "cut", "drop", "insert", "splice"))
        if kind == "flip" and damaged:
            damaged[min(at, len(damaged) - 1)] ^= 1 << generator.randrange(8)
        elif kind == "number":
            width, order = generator.choice((1, 2, 4)), generator.choice(("little", "big"))
            value = generator.choice((*_INTERESTING, generator.getrandbits(32)))
            number = (value & ((1 << 8 * width) - 1)).to_bytes(width, order)
            damaged[at : at + width] = number
        elif kind == "cut" and generator.random() < 0.3:
            del damaged[at:]
        elif kind == "drop":
            del damaged[at : at + length]
        elif kind == "insert":
            damaged[at:at] = generator.randbytes(length)
        elif kind == "splice":
            start = generator.randrange(max(1, len(other)))
            damaged[at : at + length] = other[start : start + 4 * length]
    return bytes(damaged)


def make_case(
    images: dict[str, bytes], seed: int, number: int
) -> tuple[str, bytes, decode.Options]:
    """Makes the damaged image of a number, the same in every process."""
    generator = random.Random(f"{seed}/{number}")
    names = sorted(images)
    name = names[number % len(names)]
    data = damage(images[name], images[generator.choice(names)], generator)
    options = decode.Options(
        max_pixels=generator.choice((10_000, 100_000_000)),
        window=generator.choice(("none", "none", "first", "1")),
        frame=generator.choice((None, None, 0)),
    )
    return name, data, options


def try_case(images: dict[str, bytes], seed: int, number: int) -> str | None:
    """Decodes one damaged image; returns what is wrong with the outcome, None if nothing."""
    name, data, options = make_case(images, seed, number)
    try:
        pixels = decode.decode(data, options=options)
    except UnusableImage:
        return None
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}"
    if pixels.dtype != np.uint16 or pixels.ndim != 2 or not 0 < pixels.size <= options.max_pixels:
        return f"{name}: {pixels.dtype} {pixels.shape}"
    return None


def peak_memory() -> int:
    """Returns the most bytes this program held; getrusage would tell its parent's too."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def work(seed: int, first: int, step: int, seconds: float) -> int:
    """Decodes damaged images until the time is up; prints the number of each before it begins."""
    images = make_images() | read_images()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # kills, even within a codec
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/statm", encoding="ascii") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    number, end = first, time.monotonic() + seconds
    while time.monotonic() < end:
        os.pwrite(1, f"{number:12d}\n".encode(), 0)
        signal.alarm(SECONDS_A_IMAGE)
        wrong = try_case(images, seed, number)
        signal.alarm(0)
        if wrong is None and peak_memory() > MEMORY:
            wrong = "more than 2 GiB of memory"
        if wrong:
            print(wrong, file=sys.stderr)
            return 1
        number += step
    return 0


def run(seed: int, seconds: float, workers: int, folder: pathlib.Path) -> tuple[int, list[str]]:
    """Runs workers until the time is up, each begun again after what it found.

    Returns:
        How many images were tried, and what was wrong, a line each.
    """
    found: list[str] = []
    tried = 0
    end = time.monotonic() + seconds
    firsts = dict.fromkeys(range(workers), 0)
    while (left := end - time.monotonic()) > 1:
        children = []
        for worker in range(workers):
            out, err = folder / f"case{worker}", folder / f"said{worker}"
            first = firsts[worker] or worker
            arguments = ["--work", str(first), str(workers), f"--seconds={left}", f"--seed={seed}"]
            with out.open("w") as o, err.open("w") as e:
                child = subprocess.Popen([sys.executable, __file__, *arguments], stdout=o, stderr=e)
            children.append((worker, first, child, out, err))
        for worker, first, child, out, err in children:
            code = child.wait()
            number = int(out.read_text() or first)
            tried += (number - first) // workers
            firsts[worker] = number + workers
            if code:
                lines = err.read_text(errors="replace").strip().splitlines()
                said = lines[-1] if code > 0 and lines else f"signal {-code}"
                found.append(f"case {number} of seed {seed}: {said}")
    return tried, found


def main() -> int:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int)
    parser.add_argument("--work", type=int, nargs=2)
    asked = parser.parse_args()
    if asked.work:
        return work(asked.seed, *asked.work, asked.seconds)
    if asked.case is not None:
        wrong = try_case(make_images() | read_images(), asked.seed, asked.case)
        print(wrong or "nothing wrong")
        return int(wrong is not None)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tried, found = run(asked.seed, asked.seconds, os.cpu_count() or 1, pathlib.Path(folder))
    print("\n".join([*found, f"{tried} damaged images, {len(found)} findings"]))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
