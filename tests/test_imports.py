"""Who may import what (docs/design.md), read off the source with ast."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("beam_jobs", "flags", "records", "trainer")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports_of(path: pathlib.Path) -> set[str]:
    """Dotted names of all that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def relative(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def importers(*names: str) -> set[str]:
    """Files that import a module, or something out of it."""
    return {
        relative(path)
        for path in FILES
        if any(found == n or found.startswith(f"{n}.") for n in names for found in imports_of(path))
    }


FLOORS = (
    "trainer",
    "trainer/commands",
    "trainer/reports",
    "trainer/exports",
    "trainer/inference",
    "trainer/heat_maps",
    "trainer/evaluation",
    "trainer/training",
    "trainer/model",
    "trainer/data",
    "trainer/metrics",
    "beam_jobs",
    "beam_jobs/imaging",
    "flags",
    "records",
)
"""Rooms from the top: a file imports files of its own room, and of those that stand below it."""
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def room_of(path: pathlib.Path) -> str:
    """Returns the room a file stands in: the innermost of its folders that is one."""
    folders = path.relative_to(ROOT).parents
    return next(folder.as_posix() for folder in folders if folder.as_posix() in FLOORS)


def arrows() -> dict[pathlib.Path, set[pathlib.Path]]:
    """Returns which files of ours each file imports."""
    return {
        path: {
            MODULES[name if name in MODULES else name.rpartition(".")[0]]
            for name in imports_of(path)
            if name.split(".")[0] in PACKAGES
        }
        for path in FILES
    }


def circle_among(arrows: Mapping[Any, Iterable[Any]]) -> list[Any]:
    """Finds a circle of arrows, as the stays of one walk round; empty if there is none."""
    done: set[Any] = set()

    def walk(path: list[Any]) -> list[Any]:
        for target in arrows[path[-1]]:
            if target in path:
                return [*path[path.index(target) :], target]
            if target not in done and (found := walk([*path, target])):
                return found
        done.add(path[-1])
        return []

    return next((found for start in arrows if (found := walk([start]))), [])


def test_no_import_goes_up():
    upward = [
        f"{relative(path)} -> {relative(target)}"
        for path, targets in arrows().items()
        for target in targets
        if FLOORS.index(room_of(path)) > FLOORS.index(room_of(target))
    ]
    assert not upward


def test_no_files_import_each_other_in_a_circle():
    assert [relative(path) for path in circle_among(arrows())] == []


def test_circles_and_rooms_are_found():
    assert circle_among({1: [2], 2: [3], 3: []}) == []
    assert circle_among({1: [2, 3], 2: [], 3: [4], 4: [3]}) == [3, 4, 3]
    assert room_of(ROOT / "trainer" / "__main__.py") == "trainer"
    assert room_of(ROOT / "beam_jobs" / "imaging" / "decode.py") == "beam_jobs/imaging"
    assert room_of(ROOT / "beam_jobs" / "sources" / "cmmd.py") == "beam_jobs"


def test_the_trainer_has_at_most_twelve_rooms():
    rooms = {path.parent for path in FILES if path.is_relative_to(ROOT / "trainer")}
    assert len(rooms) <= 12


def test_the_tree_is_read():
    assert len(FILES) > 30
    assert "records.errors.CallerError" in imports_of(ROOT / "beam_jobs" / "splits.py")
    assert "apache_beam" in imports_of(ROOT / "beam_jobs" / "pipeline.py")


@pytest.mark.parametrize("path", sorted((ROOT / "flags").rglob("*.py")), ids=lambda p: p.name)
def test_flags_import_the_standard_library_and_absl(path):
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert roots <= set(sys.stdlib_module_names) | {"absl", "flags", "records"}


def test_beam_jobs_never_import_the_trainer():
    assert not {path for path in importers("trainer") if path.startswith("beam_jobs/")}


def test_the_trainer_decodes_images_in_one_place():
    """Elsewhere it knows no more of beam_jobs than why an image can't be used, and whose it is."""
    found = {path for path in importers("beam_jobs") if path.startswith("trainer/")}
    assert "trainer/data/image_file.py" in found
    values = {f"beam_jobs.imaging.{name}" for name in ("dicom_file", "image_kind", "unusable")}
    for path in found:
        names = {name for name in imports_of(ROOT / path) if name.startswith("beam_jobs")}
        if path == "trainer/data/image_file.py":
            assert all(name.startswith("beam_jobs.imaging") for name in names)
        else:
            assert {name.rpartition(".")[0] for name in names} <= values, path


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        (
            ["apache_beam"],
            {
                "beam_jobs/pipeline.py",
                "beam_jobs/storage.py",
                "beam_jobs/tfrecords.py",
            },
        ),
        (
            ["pydicom", "pylibjpeg", "gdcm"],
            {
                "beam_jobs/imaging/codecs.py",  # names of transfer syntaxes
                "beam_jobs/imaging/dicom.py",
                "beam_jobs/imaging/dicom_file.py",
                "beam_jobs/imaging/image_kind.py",
                "beam_jobs/imaging/projection.py",
                "beam_jobs/imaging/grey_levels.py",
                "beam_jobs/imaging/tfio_decoder.py",
                "beam_jobs/sources/phantom.py",
            },
        ),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_libraries_stay_in_their_room(names, allowed):
    assert importers(*names)
    assert importers(*names) <= allowed


def test_imaging_knows_no_tensorflow():
    found = importers("tensorflow", "keras", "tensorflow_io", "apache_beam")
    inside = {path for path in found if path.startswith("beam_jobs/imaging/")}
    assert inside == {"beam_jobs/imaging/tfio_decoder.py"}


def test_the_second_decoder_is_imported_when_it_is_asked_for():
    """Workers without --decoder=tfio never load TensorFlow."""
    program = (
        "import sys, beam_jobs.imaging.decode; "
        "sys.exit(any(n.startswith('tensorflow') for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_absl_flags_end_at_the_entry_points():
    found = importers("absl.flags", "absl.app")
    entry_points = {
        "beam_jobs/tfrecords.py",
        "beam_jobs/verify/__main__.py",
    }
    assert {path for path in found if not path.startswith("flags/")} == entry_points


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name == "__init__.py"], ids=lambda p: p.parent.name
)
def test_init_holds_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_have_a_docstring_and_a_name(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert path.name not in {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}


REGISTRY = re.compile(
    r"index[-_]url|find-links|trusted-host|extra-index|artifactory|nexus|devpi"
    r"|https?://[^\s\"']*(simple|pypi|pythonhosted)"
)


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml", "Makefile"])
def test_no_registry_is_named(name):
    text = (ROOT / name).read_text(encoding="utf-8").replace("--no-emit-index-url", "")
    assert not REGISTRY.search(text)
    assert REGISTRY.search("--index-url https://mirror/simple")
