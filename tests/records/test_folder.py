"""Tables of a folder of records: what is written is read again, whatever files are called."""

from records import folder


def test_a_file_name_that_is_no_utf8_comes_back(tmp_path):
    row = {"image_id": "a,b", "path": "caf\udce9.dcm", "reason": "truncated", "detail": 'say "x"'}
    path = tmp_path / folder.REJECTED
    folder.write_table(path, folder.REJECTED_HEADER, [{**row, "more": 1}])
    assert b"caf\xe9.dcm" in path.read_bytes()
    assert folder.read_table(path, folder.REJECTED_HEADER) == (row,)
