"""Headers of JPEG, JPEG-LS and JPEG 2000 streams: what they claim, and whether they are whole.

Read before a codec sees the stream: libjpeg and OpenJPH fill what is missing with grey and say
nothing, and every codec takes the memory a header claims.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterator

from beam_jobs.imaging.unusable import UnusableImage

_MOST_SCANS = 40  # the usual progressive file has ten
# what ends coded bytes: stuffed bytes (below 80, ITU-T T.81 B.1.1.5, T.87 A.1), restarts and fill
# bytes do not
_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_SCAN = 0xDA
_CODED = 0
_APP1 = 0xE1
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # not DHT, JPG, DAC
JPEG_LS = 0xF7
"""SOF55, the frame header of JPEG-LS, ITU-T T.87 C.1.1."""
JPEG_LOSSLESS = 0xC3
"""SOF3, ITU-T T.81 table B.1."""
JPEG_SEQUENTIAL = (0xC0, 0xC1)
"""SOF0 (baseline) and SOF1 (extended)."""
JPEG_PROGRESSIVE = 0xC2
"""SOF2: usual among JPEG files, no transfer syntax of DICOM."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """Size and precision of a compressed image, by its own header.

    Attributes:
        process: the second byte of JPEG's frame marker, 0 for JPEG 2000.
        precision: bits of a sample.
        rows: height in pixels.
        columns: width in pixels.
        components: samples of a pixel.
        start: where the codestream begins; some writers wrap JPEG 2000 in a JP2 file.
        ends: where each of JPEG's scans ends.
        exif: JPEG's Exif segment, empty if there is none.
        levels: wavelet levels that JPEG 2000 can be decoded without.
    """

    process: int
    precision: int
    rows: int
    columns: int
    components: int
    start: int = 0
    ends: tuple[int, ...] = ()
    exif: bytes = b""
    levels: int = 0


def read_jpeg(data: bytes) -> Stream:
    """Reads the frame header of a JPEG or JPEG-LS stream and walks to its end.

    Raises:
        UnusableImage: the stream is damaged, does not reach its end marker, or lacks scans.
    """
    found: Stream | None = None
    scans: list[bytes] = []
    ends: list[int] = []
    entropy = 0
    exif = b""
    for marker, start, end in _walk_segments(data):
        if marker in _FRAME_HEADERS:
            if found:
                raise UnusableImage("damaged_pixels", "two frames in one JPEG stream")
            found = _read_frame_header(marker, data[start:end])
        elif marker == _SCAN:
            scans.append(data[start:end])
        elif marker == _CODED:
            entropy += end - start
            ends.append(end)
        elif marker == _APP1 and data.startswith(b"Exif\0\0", start):
            exif = exif or data[start:end]
    if found is None or not scans:
        raise UnusableImage("damaged_pixels", "a JPEG stream without an image")
    if len(scans) > _MOST_SCANS:
        raise UnusableImage("unsupported_compression", f"a JPEG stream of {len(scans)} scans")
    _check_entropy(found, entropy)
    if found.process in (*JPEG_SEQUENTIAL, JPEG_PROGRESSIVE):
        _check_scans(found, scans)
    return dataclasses.replace(found, ends=tuple(ends), exif=exif)


def _walk_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields marker, start and end of each segment (T.81 annex B); coded bytes follow as _CODED."""
    if data[:2] != b"\xff\xd8":
        raise UnusableImage("damaged_pixels", "no start of a JPEG stream")
    position = 2
    while True:
        while data[position : position + 2] == b"\xff\xff":  # fill bytes
            position += 1
        head = data[position : position + 4]
        if head[:2] == b"\xff\xd9":
            return
        if len(head) < 4:
            raise UnusableImage("truncated", f"a JPEG stream of {len(data)} bytes without an end")
        start, end = position + 4, position + 2 + int.from_bytes(head[2:], "big")
        if head[0] != 0xFF or end < start:
            raise UnusableImage("damaged_pixels", f"no JPEG segment at byte {position}")
        yield head[1], start, end
        if head[1] == _SCAN:
            start = end
            found = _MARKER.search(data, start)
            if found is None:
                raise UnusableImage("truncated", f"a JPEG scan of {len(data) - start} bytes")
            end = found.start()
            yield _CODED, start, end
        position = end


def _read_frame_header(process: int, body: bytes) -> Stream:
    """Reads SOFn, ITU-T T.81 B.2.2."""
    if len(body) < 6:
        raise UnusableImage("damaged_pixels", f"a JPEG frame header of {len(body)} bytes")
    precision, rows, columns, components = struct.unpack_from(">BHHB", body)
    return Stream(process, precision, rows, columns, components)


def _check_entropy(stream: Stream, found: int) -> None:
    """Rejects streams too short for their size: a pixel or block of 64 takes at least one bit."""
    rows, columns = stream.rows, stream.columns
    if stream.process == JPEG_LS:  # its runs take less, and CharLS finds missing bytes itself
        return
    if stream.process != JPEG_LOSSLESS:
        rows, columns = -(-rows // 8), -(-columns // 8)
    if 8 * found < rows * columns:
        raise UnusableImage("truncated", f"{found} bytes for {stream.rows}x{stream.columns} pixels")


def _check_scans(stream: Stream, headers: list[bytes]) -> None:
    """Rejects a stream whose scans leave out bits of a coefficient, T.81 B.2.3 and G.1.1.1."""
    known: set[tuple[int, int]] = set()  # component and coefficient known to the last bit
    for header in headers:
        count = header[0] if header else 0
        if len(header) != 4 + 2 * count:
            raise UnusableImage("damaged_pixels", f"a JPEG scan header of {len(header)} bytes")
        # sequential scans give all of a block, whatever some writers state here
        first, last, bits = header[-3:] if stream.process == JPEG_PROGRESSIVE else (0, 63, 0)
        if bits & 0x0F == 0:
            coefficients = range(first, last + 1)
            known |= {(c, k) for c in header[1 : 1 + 2 * count : 2] for k in coefficients}
    if len(known) < 64 * stream.components:
        raise UnusableImage("truncated", "a JPEG stream without its last scans")


_SIZ = struct.Struct(">HH8IH")
_CODESTREAM = b"\xff\x4f\xff\x51"


def peek_precision(data: bytes | memoryview) -> int:
    """Reads bits of a sample from the first bytes of compressed pixels; 0 where they do not say.

    Args:
        data: with the items around them, PS3.5 A.4; the stream need not be whole.
    """
    data = bytes(data)
    start = data.find(_CODESTREAM)
    if start >= 0:
        depth = data[start + 4 + _SIZ.size :][:1]
        return (depth[0] & 0x7F) + 1 if depth else 0
    start = data.find(b"\xff\xd8\xff")
    position = start + 2
    while start >= 0 and len(head := data[position : position + 5]) == 5 and head[0] == 0xFF:
        if head[1] in _FRAME_HEADERS:
            return head[4]
        position += 2 + int.from_bytes(head[2:4], "big")
    return 0


def read_jpeg2000(data: bytes) -> Stream:
    """Walks a JPEG 2000 codestream from its size to its last tile (ITU-T T.800 annex A).

    Raises:
        UnusableImage: the stream is damaged or shorter than its tiles say.
    """
    start = 0 if data[:4] == b"\xff\x4f\xff\x51" else data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(data) < start + 4 + _SIZ.size + 3:
        raise UnusableImage("damaged_pixels", "no start of a JPEG 2000 codestream")
    _, _, right, bottom, left, top, tile_columns, tile_rows, _, _, components = _SIZ.unpack_from(
        data, start + 4
    )
    depth, step_x, step_y = data[start + 4 + _SIZ.size :][:3]
    if (step_x, step_y) != (1, 1) or not tile_columns or not tile_rows:
        raise UnusableImage("damaged_pixels", "a JPEG 2000 codestream of odd geometry")
    tiles = -(-right // tile_columns) * -(-bottom // tile_rows)
    if tiles > 65535:  # ITU-T T.800 A.4.2
        raise UnusableImage("damaged_pixels", f"{tiles} JPEG 2000 tiles")
    levels = _walk_tiles(data, start + 2)
    if depth & 0x80 or left or top:  # samples with a sign, or an image that is not at the origin
        levels = 0
    precision, rows, columns = (depth & 0x7F) + 1, bottom - top, right - left
    return Stream(0, precision, rows, columns, components, start, levels=levels)


_LEVELS_AT = {b"\xff\x52": 9, b"\xff\x53": 6}
"""Where COD and COC state the wavelet levels, from the marker on: ITU-T T.800 A.6.1, A.6.2."""


def _walk_tiles(data: bytes, position: int) -> int:
    """Follows segments (main header) and tile-parts to the end; returns the wavelet levels."""
    levels: list[int] = []
    while True:
        marker = data[position : position + 2]
        if marker == b"\xff\xd9" or (len(marker) < 2 and not marker.strip(b"\0")):
            break  # a stream that ends with its last tile-part lacks nothing
        if marker == b"\xff\x90":  # SOT: marker, Lsot 2, Isot 2, Psot 4 bytes
            length = int.from_bytes(data[position + 6 : position + 10], "big")
            if length == 0:  # up to the end of the codestream
                if not data.rstrip(b"\0").endswith(b"\xff\xd9"):
                    raise UnusableImage("truncated", "a JPEG 2000 codestream without an end")
                break
        elif marker[0] == 0xFF:
            length = 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            if marker in _LEVELS_AT:
                levels += data[position + _LEVELS_AT[marker] :][:1]
        elif not data[position:].strip(b"\0"):
            break
        else:
            raise UnusableImage("damaged_pixels", f"no JPEG 2000 marker at byte {position}")
        if length < 4:
            raise UnusableImage("damaged_pixels", f"a JPEG 2000 segment of {length} bytes")
        position += length
        if position > len(data):
            raise UnusableImage("truncated", f"{len(data)} of {position} bytes of JPEG 2000")
    return min(levels, default=0)
