"""Images of which the same one stands under several names: `1-1 (1).dcm`, `- Copy.dcm`, two ids.

images = leave_out(images, data_dir, identities, max_pixels=100_000_000)
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

from beam_jobs.imaging import decode
from beam_jobs.imaging.dicom_file import NOBODY, Identity
from beam_jobs.imaging.unusable import UnusableImage
from beam_jobs.sources.data_files import DataFile
from beam_jobs.sources.source_row import SourceRow
from beam_jobs.storage import Folder

_START = 1 << 16  # bytes that tell most files of one size apart
_COMPARED = ("patient_id", "side", "view", "pathology", "assessment", "official_split")
_COPY = "copy: the same image is listed under another name"
_CONTRADICTION = "copy: the same image is listed under several names that disagree in {}"


def leave_out(
    images: Sequence[SourceRow],
    data_dir: Folder,
    identities: Mapping[str, Identity],
    *,
    max_pixels: int,
    keep: bool = False,
) -> list[SourceRow]:
    """Excludes all but the first of each set of copies, and all of a set whose rows disagree.

    Copies are files equal in every byte, or of one SOPInstanceUID (0008,0018) and equal in every
    pixel: UIDs should be unique, PS3.5 9, but some programs write the same for all.

    Args:
        images: as a source lists them; the first names its copies in `copies`.
        data_dir: folder their paths are relative to.
        identities: path -> what its header says.
        max_pixels: bounds what is decoded.
        keep: whether copies stay and are only named, in `discrepancies`.
    """
    marked = list(images)
    found = [index for index, image in enumerate(images) if image.path and not image.excluded]
    known = [images[index] for index in found]
    for group in _find(known, data_dir, identities, max_pixels=max_pixels):
        _mark(marked, [found[index] for index in group], keep=keep)
    return marked


def drop(
    files: Sequence[DataFile],
    data_dir: Folder,
    identities: Mapping[str, Identity],
    *,
    max_pixels: int,
    alike: Callable[[DataFile], Hashable],
) -> list[DataFile]:
    """Keeps one of each set of copies among files, that of the shortest path.

    Args:
        files: any.
        data_dir: folder their paths are relative to.
        identities: path -> what its header says.
        max_pixels: bounds what is decoded.
        alike: what copies have in common; only such files are read.
    """
    groups: dict[Hashable, list[DataFile]] = collections.defaultdict(list)
    for file in sorted(files, key=lambda file: (len(file.path), file.path)):
        groups[alike(file)].append(file)
    dropped = {
        group[index]
        for group in groups.values()
        if len(group) > 1
        for copies in _find(group, data_dir, identities, max_pixels=max_pixels)
        for index in copies[1:]
    }
    return [file for file in files if file not in dropped]


def _find(
    images: Sequence[SourceRow] | Sequence[DataFile],
    data_dir: Folder,
    identities: Mapping[str, Identity],
    *,
    max_pixels: int,
) -> list[list[int]]:
    """Returns the sets of copies, by index."""

    def start(index: int) -> object:
        with (data_dir / images[index].path).open("rb") as file:
            return images[index].bytes, file.read(_START)

    def content(index: int) -> object:
        return hashlib.sha256((data_dir / images[index].path).read_bytes()).digest()

    def sop_uid(index: int) -> object:
        return identities.get(images[index].path, NOBODY).sop_uid

    def pixels(index: int) -> object:
        options = decode.Options(max_pixels=max_pixels)
        decoded = decode.read_image(data_dir / images[index].path, options=options)
        return decoded.shape, hashlib.sha256(decoded.tobytes()).digest()

    by_size = _alike([range(len(images))], lambda index: images[index].bytes)
    same_bytes = list(_alike(_alike(by_size, start), content))
    copies = {index for group in same_bytes for index in group[1:]}
    rest = [index for index in range(len(images)) if index not in copies]
    same_object = list(_alike(_alike([rest], sop_uid), pixels))
    return _join(same_bytes, same_object)


def _alike(groups: Iterable[Sequence[int]], tell: Callable[[int], object]) -> Iterator[list[int]]:
    """Splits groups by what tells their members apart; yields what is left of two and more."""

    def read(index: int) -> object:
        try:
            return tell(index)
        except (OSError, UnusableImage):  # the conversion says why, image by image
            return ""

    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        for group in groups:
            members: dict[object, list[int]] = collections.defaultdict(list)
            for index, key in zip(group, pool.map(read, group), strict=True):
                members[key].append(index)
            yield from (found for key, found in members.items() if key and len(found) > 1)


def _join(*sets: Sequence[Sequence[int]]) -> list[list[int]]:
    """Joins groups that have a member in common; each in order."""
    joined: list[set[int]] = []
    for group in (group for one in sets for group in one):
        members = set(group)
        apart = [other for other in joined if not other & members]
        joined = [*apart, members.union(*(other for other in joined if other & members))]
    return [sorted(members) for members in joined]


def _mark(images: list[SourceRow], group: Sequence[int], *, keep: bool) -> None:
    members = [images[index] for index in group]
    differing = [key for key in _COMPARED if len({getattr(one, key) for one in members}) > 1]
    reason = _CONTRADICTION.format(", ".join(differing)) if differing else _COPY
    for index in group if differing else group[1:]:
        images[index] = (
            dataclasses.replace(images[index], discrepancies=reason)
            if keep
            else dataclasses.replace(images[index], excluded=reason)
        )
    names = filter(None, [members[0].copies, *(one.image_id for one in members)])
    first = images[group[0]]
    images[group[0]] = dataclasses.replace(first, copies=";".join(dict.fromkeys(names)))
