"""The files of CBIS-DDSM: which is an image, and which are the mask and the crop of a lesion.

A mask is as large as its image and a crop is a part of it, so the headers tell them apart. The
tables' names do not: many files have them the other way round (docs/data.md).
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from beam_jobs.imaging.dicom_file import NOBODY, Identity
from beam_jobs.sources.data_files import DataFile
from beam_jobs.sources.source_row import Lesion, Roi, SourceRow


@dataclasses.dataclass(frozen=True)
class RoiPath:
    """A file as the tables name it, <folder>/<study>/<series>/<name>; "" where they do not."""

    folder: str = ""
    series_uid: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> RoiPath:
        """Reads a path; raises ValueError unless it has four parts or is empty."""
        if not text:
            return cls()
        parts = text.split("/")
        if len(parts) != 4:
            raise ValueError("mask or crop path is not <lesion>/<study>/<series>/<file>")
        return cls(parts[0], parts[2], parts[3])


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table: a lesion, the image it lies on, and the paths it states for both."""

    patient_id: str
    side: str
    view: str
    density: str
    official_split: str
    folder: str
    series_uid: str
    lesion_id: str
    mask: RoiPath
    crop: RoiPath
    lesion: Lesion


class Finder:
    """Finds the files of images and lesions among the files of a download."""

    def __init__(self, candidates: Sequence[DataFile], identities: Mapping[str, Identity]) -> None:
        self._identities = identities
        self._by_series: dict[str, list[DataFile]] = collections.defaultdict(list)
        self._by_folder: dict[str, list[DataFile]] = collections.defaultdict(list)
        self._by_patient: dict[str, DataFile] = {}
        for file in sorted(candidates, key=lambda file: file.path):
            identity = identities.get(file.path, NOBODY)
            if identity.series_uid:
                self._by_series[identity.series_uid].append(file)
                continue
            for folder in file.path.split("/")[:-1]:
                self._by_folder[folder].append(file)
            if identity.patient_id:
                _keep_larger(self._by_patient, identity.patient_id, file)

    def add_files(self, image: SourceRow, rows: Sequence[Row]) -> SourceRow:
        """Returns the image with path and size, if a file is its, and its lesions with theirs."""
        file = self._find_image(rows)
        if file is not None:
            image = file.add_to(image)
        size = self._size(file) if file is not None else (0, 0)
        return dataclasses.replace(
            image, rois=tuple(self._add_roi(row, size) for row in rows if row.mask != RoiPath())
        )

    def _find_image(self, rows: Sequence[Row]) -> DataFile | None:
        for row in rows:
            if row.series_uid in self._by_series:
                return _largest(self._by_series[row.series_uid])
        for row in rows:
            for name in (row.series_uid, row.folder):
                if name in self._by_folder:
                    return _largest(self._by_folder[name])
        return next(
            (self._by_patient[row.folder] for row in rows if row.folder in self._by_patient), None
        )

    def _size(self, file: DataFile) -> tuple[int, int]:
        """Returns rows and columns by the header, (0, 0) where it has none."""
        identity = self._identities.get(file.path, NOBODY)
        return identity.rows, identity.columns

    def _list(self, where: RoiPath) -> list[DataFile]:
        """Lists the files of a series by their headers, else by folders of its name."""
        for index, name in (
            (self._by_series, where.series_uid),
            (self._by_folder, where.series_uid),
            (self._by_folder, where.folder),
        ):
            if name and name in index:
                return index[name]
        return []

    def _add_roi(self, row: Row, image_size: tuple[int, int]) -> Roi:
        """Finds mask and crop of a lesion, and what is wrong with the mask."""
        files = list(dict.fromkeys([*self._list(row.mask), *self._list(row.crop)]))
        mask = _largest([file for file in files if self._is_mask(file, files, row, image_size)])
        crop = _largest([file for file in files if not self._is_mask(file, files, row, image_size)])
        roi = Roi(
            lesion_id=row.lesion_id,
            copy=row.folder,
            lesion=row.lesion,
            crop=crop.path if crop is not None else "",
        )
        if mask is None:
            return dataclasses.replace(roi, mask_status="missing")
        size = self._size(mask)
        status = []
        if mask != self._find_named(row.mask, beside=mask):
            status.append("swapped")
        if 0 in size or 0 in image_size:
            status.append("unchecked")
        elif size != image_size:
            status.append("size_misfit")
        return dataclasses.replace(
            roi,
            mask=mask.path,
            mask_status="+".join(status) or "ok",
            mask_height=size[0],
            mask_width=size[1],
        )

    def _is_mask(
        self, file: DataFile, files: Sequence[DataFile], row: Row, image_size: tuple[int, int]
    ) -> bool:
        """Tells mask from crop: by size, else by SeriesDescription, else as the table has it."""
        areas = {rows * columns for rows, columns in map(self._size, files)}
        rows, columns = self._size(file)
        if len(areas) > 1 and 0 not in areas:
            return rows * columns == max(areas)
        content = self._identities.get(file.path, NOBODY).content
        if content:
            return content == "mask"
        if (rows, columns) == image_size != (0, 0):
            return True
        return file == self._find_named(row.mask, beside=file)

    def _find_named(self, where: RoiPath, *, beside: DataFile) -> DataFile | None:
        """Returns the file of a folder that the table means.

        Downloads name files anew, in order: the table's 000001.dcm is the second of its series.
        """
        folder = beside.path.rpartition("/")[0]
        there = [file for file in self._list(where) if file.path.rpartition("/")[0] == folder]
        named = [file for file in there if file.name == where.name]
        if named or len(there) == 1:
            return (named or there)[0]
        number = where.name.partition(".")[0]
        if number.isdecimal() and int(number) < len(there):
            return there[int(number)]
        return None


def _largest(files: Sequence[DataFile]) -> DataFile | None:
    """Of two copies the smaller one may have been cut short; of equal ones takes the first."""
    return max(files, key=lambda file: file.bytes, default=None)


def _keep_larger(index: dict[str, DataFile], name: str, file: DataFile) -> None:
    if name not in index or file.bytes > index[name].bytes:
        index[name] = file
