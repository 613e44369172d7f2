"""Lists the DICOM files of a folder with what their headers say, as a CSV table on stdout.

  python -m beam_jobs.inventory DIR > images.csv

One row a file: path, patient, accession number, date, side, view, UIDs, kind, size. It may be
joined with a hospital's own sheet, or be one for --dataset=table once it has a label. It holds the
patient ids of the headers: keep it where the images may be.
"""

from __future__ import annotations

import sys

from flags import command_line
from records import csv_text
from records.errors import CallerError
from records.progress import Reporter


def main() -> None:
    """Runs the program with the folder that the command line names."""
    command_line.run(run, lambda: None, arguments=1)


def run(arguments: list[str]) -> int:
    """Writes the table; returns 1 if there is no DICOM file, else 0.

    Raises:
        CallerError: no folder is named, or there is none.
    """
    if not arguments:
        raise CallerError("no folder is named: python -m beam_jobs.inventory DIR > images.csv")
    from beam_jobs import storage
    from beam_jobs.sources import data_files, header_list

    folder = storage.folder(arguments[0])
    if not folder.is_dir():
        raise CallerError(f"{folder} is not a folder; give the folder of the images")
    files = data_files.list_files(folder)
    with Reporter(f"reading headers in {folder}", "files") as reporter:
        headers = header_list.list_headers(folder, files, report=reporter.update)
    csv_text.write(sys.stdout, header_list.COLUMNS, (header.columns() for header in headers))
    print(f"{len(headers)} of {len(files)} files are DICOM", file=sys.stderr)
    return 0 if headers else 1


if __name__ == "__main__":
    main()
