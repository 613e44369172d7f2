"""Parquet tables of images as records of text.

records = parquet_rows.read(Folder("images.parquet"))
"""

from __future__ import annotations

import io

from beam_jobs.sources import csv_rows
from beam_jobs.storage import Folder
from records import user_text
from records.errors import CallerError


def read(path: Folder) -> list[csv_rows.Record]:
    """Reads a Parquet file; absent values are "", whole numbers have no decimals.

    Raises:
        CallerError: it is no Parquet file, or has two columns of one name.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(path.read_bytes()))
    except pyarrow.ArrowException as error:
        raise CallerError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from error
    csv_rows.check_header(path, table.column_names, ())
    columns = [column.to_pylist() for column in table.columns]
    return [
        csv_rows.Record(
            f"row {number}",
            dict(zip(table.column_names, map(user_text.to_text, cells), strict=True)),
        )
        for number, cells in enumerate(zip(*columns, strict=True), 1)
    ]
