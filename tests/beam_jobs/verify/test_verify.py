"""Tests of the verification: damage on purpose, each named precisely, and its remedy tried."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from beam_jobs.verify import __main__, shard_checks
from beam_jobs.verify.checked_folder import find_folders, open_folder
from records import files
from records.errors import CallerError
from tests import make


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0x04
    path.write_bytes(content)


def frame_starts(path):
    """Where each record of a shard starts, by the lengths alone; and the size."""
    content, starts = path.read_bytes(), [0]
    while starts[-1] < len(content):
        starts.append(starts[-1] + 16 + int.from_bytes(content[starts[-1] :][:8], "little"))
    return starts


def record(path, number):
    starts = frame_starts(path)
    return path.read_bytes()[starts[number - 1] : starts[number]]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=1) + "\n")


@pytest.fixture
def copy(made_records, tmp_path):
    """A copy to damage; the folder itself, so that the conversion can be given again."""
    kept = tmp_path / "kept"
    shutil.copytree(made_records.directory, kept)
    yield made_records
    shutil.rmtree(made_records.directory)
    shutil.copytree(kept, made_records.directory)


def contents(directory):
    return {p.name: p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def check(directory, capsys):
    code = int(bool(__main__.check(directory).damages))
    return code, capsys.readouterr().out


def test_a_clean_folder_passes(made_records, capsys):
    code, out = check(made_records.directory, capsys)
    assert code == 0
    assert out.endswith("all is well\n")
    written = (made_records.directory / "sources.csv").read_text().count(",written,")
    assert written == 57
    assert f"{written} records in {len(made_records.shards)} shards" in out
    assert "damage" not in out + "warning"


def image_byte(d, s):
    flip(s[1], frame_starts(s[1])[1] + 400)


def length_byte(d, s):
    flip(s[1], frame_starts(s[1])[2] + 1)


def length_crc(d, s):
    flip(s[1], frame_starts(s[1])[1] + 9)


def data_crc(d, s):
    flip(s[1], frame_starts(s[1])[2] - 1)


def truncate(d, s):
    s[1].write_bytes(s[1].read_bytes()[:-3])


def swap(d, s):
    one, two = s[0].read_bytes(), s[1].read_bytes()
    s[0].write_bytes(two)
    s[1].write_bytes(one)


def duplicate(d, s):
    s[1].write_bytes(s[1].read_bytes() + record(s[1], 1))


def drop(d, s):
    s[1].write_bytes(s[1].read_bytes()[frame_starts(s[1])[1] :])


def remove_shard(d, s):
    s[1].unlink()


def foreign(d, s):
    s[1].write_bytes(s[1].read_bytes() + record(s[-1], 1))


def edit_label(d, s):
    image = __main__.check(d).reports[1].images[0][0]
    lines = (d / "sources.csv").read_text().splitlines(keepends=True)
    index = next(i for i, line in enumerate(lines) if line.startswith(image + ","))
    assert re.search(r"normal|benign|malignant", lines[index])
    lines[index] = re.sub(r"normal|benign|malignant", "unsure", lines[index], count=1)
    (d / "sources.csv").write_text("".join(lines))


def move_patient(d, s):
    image = __main__.check(d).reports[1].images[0][0]
    edit(d / "sources.csv", f"{image},written,,fold0", f"{image},written,,fold3")


def edit_sha(d, s):
    edit_json(d / "manifest.json", lambda m: m["shards"][s[1].name].update(sha256="0" * 64))


def edit_total(d, s):
    edit_json(d / "manifest.json", lambda m: m["totals"].update(written=58))


def edit_policy(d, s):
    edit_json(d / "manifest.json", lambda m: m.update(leak_policy="keep"))


def row_twice(d, s):
    text = (d / "sources.csv").read_text()
    (d / "sources.csv").write_text(text + text.splitlines()[-1] + "\n")


SHARD = r"cbis_ddsm-fold0\.tfrecord-00001-of-00003"
DAMAGES = [
    (
        image_byte,
        rf"{SHARD} record 2 \(image\d+\): the checksum of its data differs \(bytes \d+ to",
    ),
    (length_byte, rf"{SHARD} record 3: the length of the record is damaged; nothing .* from byte"),
    (length_crc, rf"{SHARD} record 2 \(image\d+\): the checksum of its length is damaged"),
    (data_crc, rf"{SHARD} record 2 \(image\d+\): the checksum of its data differs"),
    (truncate, rf"{SHARD} record \d: the record needs \d+ bytes and \d+ are left: .* cut short"),
    (swap, rf"{SHARD}: holds what manifest.json says is in .*-fold0.tfrecord-00000"),
    (
        duplicate,
        rf"{SHARD} record \d \(image\d+\): its image has a record already: {SHARD} record 1",
    ),
    (drop, rf"{SHARD}: no readable record of 1 image written .*: image\d+"),
    (drop, rf"{SHARD}: 3 records, manifest.json says 4"),
    (remove_shard, rf"{SHARD}: is missing"),
    (foreign, rf"{SHARD} record \d \(image\d+\): stands in fold0, sources.csv says test"),
    (edit_label, rf"{SHARD} record 1 \(image\d+\): pathology is '\w+', sources.csv says 'unsure'"),
    (move_patient, rf"{SHARD} record 1 \(image\d+\): stands in fold0, sources.csv says fold3"),
    (move_patient, r"sources.csv: patient patient\d+ stands in fold0, fold3"),
    (edit_sha, rf"{SHARD}: its SHA-256 is not that of manifest.json"),
    (edit_sha, rf"manifest.json: {SHARD}: sha256 is 0+, its ledger says \w+"),
    (edit_total, r"manifest.json: totals: 58 written, sources.csv and shards 57"),
    (edit_policy, r"manifest.json: its fingerprint is not that of its configuration"),
    (edit_policy, r"manifest.json: differs from job.json in leak_policy"),
    (row_twice, r"sources.csv: image image059 has 2 rows"),
]


@pytest.mark.parametrize(
    ("damage", "message"), DAMAGES, ids=[f"{d.__name__}{n}" for n, (d, _) in enumerate(DAMAGES)]
)
def test_damage_is_named_and_the_remedy_helps(damage, message, copy, capsys):
    before = contents(copy.directory)
    damage(copy.directory, copy.shards)
    capsys.readouterr()
    code, out = check(copy.directory, capsys)
    assert code == 1
    assert re.search(rf"  damage: {message}", out), out
    remedy = re.search(r"Remedy: (?:remove (.*) in .* and )?give the conversion's", out)
    for name in filter(None, (remedy[1] or "").split(" and ")):
        (copy.directory / name).unlink()
    copy.run()
    assert check(copy.directory, capsys)[0] == 0
    assert contents(copy.directory) == before


@pytest.mark.parametrize("name", ["features.json", "rejected.csv", "plan.json", "overview.html"])
def test_a_missing_file(name, copy, capsys):
    (copy.directory / name).unlink()
    code, out = check(copy.directory, capsys)
    assert code == 1
    assert f"damage: {name}: is missing" in out


def test_records_of_another_minor_version_are_not_called_damaged(copy):
    edit_json(copy.directory / "manifest.json", lambda m: m.update(schema_version="2.1.0"))
    with pytest.raises(CallerError, match=r"has schema version 2\.1\.0.* convert the images again"):
        __main__.check(copy.directory)


@pytest.mark.parametrize("name", ["manifest.json", "sources.csv"])
@pytest.mark.parametrize("content", [None, "", "{"])
def test_what_all_depends_on(name, content, copy, capsys):
    path = copy.directory / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    code, out = check(copy.directory, capsys)
    assert code == 1
    assert re.search(rf"damage: {name}: (is missing|is damaged|its header)", out)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("features.json", "featuresDict"),
        ("dataset_info.json", "splits"),
        ("plan.json", "listed"),
        ("statistics.json", "pixels"),
    ],
)
def test_an_edited_file(name, key, copy, capsys):
    edit_json(copy.directory / name, lambda content: content.update({key: 3}))
    code, out = check(copy.directory, capsys)
    assert code == 1
    assert f"damage: {name}: differs in {key}" in out


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (".12.sources.csv", "damage: .12.sources.csv: is half-written or left over"),
        ("x.tmp", "damage: x.tmp: is half-written"),
        ("a-test.tfrecord-00000-of-00001", "is a shard manifest.json does not list"),
        (".shards/a.7.tmp", "damage: .shards/a.7.tmp: is half-written"),
        ("notes.txt", "warning: notes.txt: was not written by the conversion"),
    ],
)
def test_strays(name, line, copy, capsys):
    (copy.directory / name).write_text("")
    code, out = check(copy.directory, capsys)
    assert line in out
    assert code == (0 if "warning" in line else 1)


def test_what_a_killed_job_left_is_cleared_by_the_next(copy, capsys):
    for name in ("preview.png", "plan.json"):
        (copy.directory / f".{files.temporary_name(name)}").write_text("half")
    assert check(copy.directory, capsys)[0] == 1
    copy.run()
    assert check(copy.directory, capsys)[0] == 0


def test_several_damages_are_all_listed(copy, capsys):
    first, second = copy.shards[0], copy.shards[3]
    for number in (0, 1):
        flip(first, frame_starts(first)[number] + 300)
    flip(second, 300)
    _, out = check(copy.directory, capsys)
    for name, number in ((first, 1), (first, 2), (second, 1)):
        assert re.search(rf"damage: {name.name} record {number} \(image\d+\): the checksum", out)
    assert "3 damages" in out


def test_every_flipped_byte_is_found(made_records, tmp_path):
    """Every seventh byte of two records; the record named is the right one."""
    expected = open_folder(made_records.directory).expected
    shard = made_records.shards[0]
    starts = frame_starts(shard)
    path = tmp_path / shard.name
    assert not shard_checks.check_shard(shard, expected).findings
    content = shard.read_bytes()
    for position in range(0, starts[2], 7):
        path.write_bytes(content)
        flip(path, position)
        findings = shard_checks.check_shard(path, expected).findings
        number = sum(start <= position for start in starts)
        assert len(findings) == 1
        assert findings[0].where.startswith(f"{shard.name} record {number}")


@pytest.mark.parametrize(
    ("policies", "leaked", "line"),
    [
        ({"split_policy": "image"}, 0, r"warning: sources.csv: \d+ patients in several"),
        ({"leak_policy": "keep"}, 2, r"warning: sources.csv: 2 patients in several splits"),
        ({"leak_policy": "drop_from_train"}, 2, "all is well"),
    ],
)
def test_policies_that_let_patients_through(policies, leaked, line, tmp_path, capsys):
    made = make.records(tmp_path, leaked=leaked, **policies)
    code, out = check(made.directory, capsys)
    assert code == 0
    assert re.search(line, out)


def test_a_copy_without_ledgers(made_records, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(made_records.directory, folder, ignore=shutil.ignore_patterns(".shards"))
    assert check(folder, capsys)[0] == 0
    flip(next(folder.glob("*.tfrecord-*")), 300)
    code, out = check(folder, capsys)
    assert code == 1
    assert "copy it anew or convert into another --output_dir" in out


def test_folders_are_found_below(made_records, tmp_path):
    top = made_records.directory.parents[2]
    assert find_folders(top) == [made_records.directory]
    assert find_folders(made_records.directory) == [made_records.directory]
    assert find_folders(tmp_path) == []
    with pytest.raises(CallerError, match="holds no records"):
        __main__._find(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{top}"], 0, "all is well"),
        ([], 2, "error: no folder given"),
        (["{top}/nothing"], 2, "is not a folder"),
        (["s3://records/x"], 2, "s3://records/x lies in a store"),
        (["{top}", "{top}"], 2, "is not a flag"),
    ],
)
def test_command(arguments, code, said, made_records, root):
    top = made_records.directory.parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "beam_jobs.verify", *(a.format(top=top) for a in arguments)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    if code == 2:
        assert len(done.stderr.splitlines()) == 1
