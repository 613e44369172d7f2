"""Names in README.md and docs/ exist: files, modules, functions, commands, flags, make targets."""

from __future__ import annotations

import ast
import importlib.util
import pathlib
import re
import shlex
import subprocess

import pytest
from absl import flags

from flags import fields
from flags.conversion_config import ConversionConfig
from flags.verification_config import VerificationConfig
from trainer.__main__ import VERBS

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("beam_jobs", "benchmarks", "flags", "records", "trainer")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULES = {path.stem: path for package in PACKAGES for path in (ROOT / package).rglob("[a-z]*.py")}
GONE = {"--mode"}
"""Flags that only the changelog may name."""


def spans(text: str) -> list[str]:
    """Lists what stands in backticks within lines, an absent line break in it joined."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]


def commands(text: str) -> list[list[str]]:
    """Lists the command lines that begin with `python -m`, as words, comments left out."""
    fenced = re.sub(r"\s*\\\n\s*", " ", "\n".join(FENCE.findall(text)))
    lines = "\n".join([*spans(text), fenced])
    found = re.findall(r"python -m \w[^|;&\n]*", lines)
    return [shlex.split(re.split(r"\s{2,}|\s#", line)[0])[2:] for line in found]


def flags_of(program: str, verb: str | None = None) -> set[str]:
    """Names the flags of a program, of one verb where it has several."""
    if program == "beam_jobs.tfrecords":
        return names_of(ConversionConfig) | beam_options()
    if program == "beam_jobs.verify":
        return names_of(VerificationConfig)
    verbs = VERBS.all()
    chosen = {verb, "train"} if verb == "experiments" else {verb} if verb else set(verbs)
    return set().union(*(names_of(verbs[name].Config) for name in chosen))


def names_of(config: type[fields.Flags]) -> set[str]:
    values = flags.FlagValues()
    fields.define(config, values)
    return set(values)


def beam_options() -> set[str]:
    """Names the options of Beam and of its Dask runner, read off their sources."""
    folder = pathlib.Path((importlib.util.find_spec("apache_beam") or pytest.skip("Beam")).origin)
    files = ("options/pipeline_options.py", "runners/dask/dask_runner.py")
    text = "".join((folder.parent / name).read_text(encoding="utf-8") for name in files)
    return set(re.findall(r"""["']--([a-z]\w+)""", text))


def is_known(flag: str, known: set[str]) -> bool:
    name = flag.removeprefix("--").partition("=")[0]
    return name in {"help", "flagfile", "version"} or bool({name, name.removeprefix("no")} & known)


@pytest.fixture(scope="module")
def tree() -> set[str]:
    """Paths of the project, files and folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git repository")
    paths = [pathlib.PurePosixPath(line) for line in done.stdout.splitlines()]
    return {str(path) for path in paths} | {str(p) for path in paths for p in path.parents}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_paths_are_there(page, tree):
    roots = (*PACKAGES, "docs", "tests")
    named = re.findall(r"[\w./-]+", "\n".join(spans(page.read_text(encoding="utf-8"))))
    paths = [word.rstrip("/.") for word in named if word.startswith(tuple(f"{r}/" for r in roots))]
    assert not [path for path in paths if path not in tree]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)
            known = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in known, target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_named_are_there(page, tree):
    text = page.read_text(encoding="utf-8")
    assert not [name for name in re.findall(r"\bdocs/\w+\.md", text) if name not in tree]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_modules_and_what_they_hold_are_there(page):
    """`trainer.data.dataset`, `strategy.MeanOverBatch`; in fences, the first word of a line."""
    text = page.read_text(encoding="utf-8")
    named = [span for span in spans(text) if re.fullmatch(r"[a-z_]\w*(\.\w+)+(\(.*\))?", span)]
    named += re.findall(
        rf"^ *((?:{'|'.join(PACKAGES)})(?:\.\w+)+)", "\n".join(FENCE.findall(text)), re.MULTILINE
    )
    assert not [name for name in named if not is_there(name.partition("(")[0])]


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module of ours, something in one, or nothing that is ours."""
    parts = dotted.split(".")
    if parts[0] in PACKAGES:
        place = ROOT.joinpath(*parts)
        if place.is_dir() or place.with_suffix(".py").is_file():
            return True
        module = ROOT.joinpath(*parts[:-1]).with_suffix(".py")
    else:
        module = MODULES.get(parts[0])
        is_file_name = parts[-1] in {"json", "csv", "html", "md", "keras", "png", "txt", "flags"}
        if module is None or is_file_name:
            return True
    return (
        module.is_file()
        and re.search(rf"\b{parts[-1]}\b", module.read_text(encoding="utf-8")) is not None
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_take_the_flags_shown(page):
    for program, *words in commands(page.read_text(encoding="utf-8")):
        if program.split(".")[0] not in PACKAGES:
            continue
        place = ROOT.joinpath(*program.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), program
        if program not in {"trainer", "beam_jobs.tfrecords", "beam_jobs.verify"}:
            continue
        verb = None
        if program == "trainer":
            named = bool(words) and re.fullmatch(r"[a-z]\w+", words[0]) is not None
            verb = words[0] if named else "train"
            assert verb in VERBS.all(), (program, words)
        known = flags_of(program, verb)
        unknown = [w for w in words if w.startswith("--") and not is_known(w, known)]
        assert not unknown, (program, verb, unknown)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_flags_named_alone_are_of_a_program(page):
    known = set().union(*map(flags_of, ("trainer", "beam_jobs.tfrecords", "beam_jobs.verify")))
    text = "\n".join(s for s in spans(page.read_text(encoding="utf-8")) if is_of_ours(s))
    unknown = {flag for flag in re.findall(r"--[a-z]\w+", text) if not is_known(flag, known)}
    assert unknown <= (GONE if page.name == "CHANGELOG.md" else set())


def is_of_ours(span: str) -> bool:
    """Whether the flags of a span are ours, and not those of another program."""
    return span.startswith("--") or re.match(r'(make .*)?[A-Z]+_ARGS="?--', span) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_make_targets_are_there(page):
    text = page.read_text(encoding="utf-8")
    code = [*spans(text), *(line for block in FENCE.findall(text) for line in block.splitlines())]
    named = {match[1] for line in code if (match := re.match(r"make ([a-z_]+)\b", line))}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert named <= set(re.findall(r"^([a-z_]+):", makefile, re.MULTILINE))


def test_every_verb_is_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [verb for verb in VERBS.all() if verb != "train" and f"trainer {verb}" not in text]


def test_every_room_stands_in_the_table():
    """docs/design.md lists the rooms in the order that tests/test_imports.py holds."""
    source = ast.parse((ROOT / "tests" / "test_imports.py").read_text(encoding="utf-8"))
    floors = next(
        ast.literal_eval(node.value)
        for node in source.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FLOORS"
    )
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = text[text.index("| room |") :].partition("\n\n")[0]
    assert tuple(re.findall(r"^\| `([\w/]+)` \|", table, re.MULTILINE)) == floors
