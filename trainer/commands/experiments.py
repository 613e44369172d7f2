"""Runs the published experiments one after the other, and compares them on one page.

  python -m trainer experiments
  python -m trainer experiments --only="c h" --phase1_epochs=5

Flags that are not its own go on to every run. A finished run is kept, an interrupted one goes on;
one that fails is named and the others go on. Exit code 1 if any failed.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from flags import command_line, fields
from flags.fields import Flags, flag
from records import files, user_text
from records.errors import CallerError

BASELINE = "baseline"


@dataclasses.dataclass(frozen=True)
class Config(Flags):
    """Which experiments to run; `passed_on` are flags of every run."""

    passed_on: tuple[str, ...] = ()
    only: str = flag(
        "",
        "Names of the experiments to run, separated by spaces, such as 'c h'. Default: all "
        "flagfiles that state a published accuracy, or that there is none.",
    )
    flagfiles: str = flag("flags/experiments", "Folder of the flagfiles.", place=True)
    runs: str = flag("runs/experiments", "Folder of their runs and of the comparison.", place=True)

    def check(self) -> None:
        """Checks that every run gets a folder of its own."""
        super().check()
        if any(argument.lstrip("-").startswith("run_dir") for argument in self.passed_on):
            raise CallerError(
                "--run_dir: every experiment has a folder of its own; --runs names the one of all"
            )


def run(config: Config) -> int:
    """Runs what is to be run and writes the comparison; returns the exit code.

    Raises:
        CallerError: there is no such experiment.
    """
    folder, root = pathlib.Path(config.flagfiles), pathlib.Path(config.runs)
    flagfiles = {path.stem: path for path in sorted(folder.glob("*.flags"))}
    names = choose(flagfiles, config.only.split())
    given = {name: [*flags_of(name, flagfiles, root), *config.passed_on] for name in names}
    if not any(_is_finished(root / name) for name in names):
        check_records(given.values())
    errors: dict[str, str] = {}
    for name in names:
        print(f"experiment {name}", flush=True)
        error = run_one(root / name, given[name])
        if error is not None:
            errors[name] = error
    shown = [name for name in flagfiles if name in names or _is_finished(root / name)]
    write_comparison(root, {name: flagfiles[name] for name in shown}, errors)
    for error in dict.fromkeys(errors.values()):
        failed = [name for name in errors if errors[name] == error]
        print(f"failed: {', '.join(failed)}: {error}", file=sys.stderr)
    return 1 if errors else 0


def choose(flagfiles: dict[str, pathlib.Path], only: Sequence[str]) -> list[str]:
    """Lists what to run: the names given, else all experiments; before each what it begins from.

    Raises:
        CallerError: a name is unknown, or there is no experiment at all.
    """
    for name in only:
        fields.check_name("only", name, flagfiles)
    chosen = only or [name for name, path in flagfiles.items() if "\n# Published" in _text(path)]
    if not chosen:
        raise CallerError("--flagfiles holds no experiment; give the folder flags/experiments")
    ordered: list[str] = []
    for name in chosen:
        source = source_of(flagfiles[name], flagfiles)
        ordered += [source, name] if source else [name]
    return list(dict.fromkeys(ordered))


def source_of(flagfile: pathlib.Path, flagfiles: Mapping[str, pathlib.Path]) -> str | None:
    """Names the flagfile whose run this one begins from (--init_from), if there is one."""
    for line in _text(flagfile).splitlines():
        name = pathlib.PurePath(line.removeprefix("--init_from=")).name
        if line.startswith("--init_from=") and name in flagfiles:
            return name
    return None


def flags_of(name: str, flagfiles: Mapping[str, pathlib.Path], root: pathlib.Path) -> list[str]:
    """Lists the flags of an experiment; it begins from a run below `root`, as it is one itself."""
    source = source_of(flagfiles[name], flagfiles)
    begins = [f"--init_from={root / source}"] if source else []
    return [f"--flagfile={flagfiles[name]}", f"--run_dir={root / name}", *begins]


def check_records(given: Iterable[Sequence[str]]) -> None:
    """Makes sure, before any run begins, that one of them has the records its flags name.

    Raises:
        CallerError: none has: names the folders.
    """
    missing: list[str] = []
    for flags in given:
        words = [*command_line.expand_flagfiles(flags), ""]
        folder = ""
        for word, following in itertools.pairwise(words):
            name, equals, value = word.partition("=")
            if name == "--dataset_dir":
                folder = value if equals else following
        if not folder or pathlib.Path(folder).expanduser().is_dir():
            return
        missing.append(folder)
    raise CallerError(
        f"no experiment has its records; missing: {', '.join(dict.fromkeys(missing))}; make them "
        "with 'make tfrecords', or give --dataset_dir"
    )


def run_one(directory: pathlib.Path, given: Sequence[str]) -> str | None:
    """Runs one experiment in a process of its own; returns the error's line if it failed."""
    from trainer.evaluation import published

    path, command, last = directory / published.COMMAND, shlex.join(given), ""
    if (
        _is_finished(directory)
        and path.is_file()
        and path.read_text(encoding="utf-8", errors="replace") == command
    ):
        print(f"{directory} is finished", flush=True)
        return None
    with subprocess.Popen(
        [sys.executable, "-m", "trainer", *given], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            last = line.strip() or last
    if process.returncode == 0:
        with files.keeping(directory, (path.name,)):
            files.write_text(path, command)
        return None
    return f"{last.removeprefix('error: ')} (exit code {process.returncode})"


def write_comparison(
    root: pathlib.Path, flagfiles: Mapping[str, pathlib.Path], errors: Mapping[str, str]
) -> None:
    """Writes the comparison; the baseline is the published one if it is finished, else the first.

    Args:
        root: folder of the runs, each under its experiment's name.
        flagfiles: name -> flagfile of those that were to run now, and of finished ones.
        errors: name -> why it failed.
    """
    from trainer.evaluation import common_unit, compared_run, published
    from trainer.reports import comparison_page

    runs, unfinished = [], []
    for name in sorted(flagfiles, key=lambda name: name != BASELINE):
        path = flagfiles[name]
        if name in errors or not _is_finished(root / name):
            unfinished.append((published.read(path), errors.get(name, "not finished")))
        else:
            runs.append(compared_run.read(root / name, name=name, flagfile=path))
    if len({run.unit for run in runs}) > 1:
        try:
            runs = [*common_unit.group(runs), *(run for run in runs if run.unit == "image")]
        except CallerError as error:  # what hours have trained is listed all the same
            print(f"warning: {error}", file=sys.stderr)
    root.mkdir(parents=True, exist_ok=True)  # no run has made it where all failed
    with files.keeping(root, comparison_page.FILES):
        comparison_page.write(root, runs, unfinished=unfinished)
    print(f"comparison: {(root / 'comparison.html').resolve()}")


def _is_finished(directory: pathlib.Path) -> bool:
    return (directory / "report.html").is_file()  # written last


def _text(path: pathlib.Path) -> str:
    return user_text.read(path)
