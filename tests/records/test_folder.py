"""Tables of a folder of records: what is written is read again, whatever files are called."""

import pytest

from records import folder, schema
from records.files import DamagedFile


def test_any_file_name_comes_back(tmp_path):
    row = {
        "image_id": "a,\rb\n",
        "path": "caf\udce9.dcm",
        "reason": "truncated",
        "detail": 'say "x"',
    }
    path = tmp_path / folder.REJECTED
    folder.write_table(path, folder.REJECTED_HEADER, [{**row, "more": 1}])
    assert b"caf\xe9.dcm" in path.read_bytes()
    assert folder.read_table(path, folder.REJECTED_HEADER) == (row,)


def test_a_table_of_an_earlier_version_lacks_a_column_and_no_other(tmp_path):
    header = schema.SOURCES_HEADER
    row = {key: f"{key} of it" for key in header}
    for gone, readable in (("age", True), ("view", False)):
        path = tmp_path / f"{gone}.csv"
        folder.write_table(path, [key for key in header if key != gone], [row])
        if readable:
            assert folder.read_table(path, header) == ({**row, gone: ""},)
        else:
            with pytest.raises(DamagedFile, match="its header is not the conversion's"):
                folder.read_table(path, header)
