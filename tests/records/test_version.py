"""Tests of what the program says it is: a version, and the commit of a checkout."""

import subprocess

from records import version


def told(monkeypatch, root) -> str:
    monkeypatch.setattr(version, "_ROOT", root)
    return version.describe.__wrapped__()


def git(folder, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_checkout_names_its_commit_and_whether_it_was_changed(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert told(monkeypatch, tmp_path) == f"{version.PROGRAM}, commit {commit}"
    (tmp_path / "a").write_text("2")
    assert told(monkeypatch, tmp_path) == f"{version.PROGRAM}, commit {commit}-dirty"


def test_what_is_installed_inside_a_checkout_names_none(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-qm", "one", "--allow-empty")
    (tmp_path / "site-packages").mkdir()
    assert told(monkeypatch, tmp_path / "site-packages") == version.PROGRAM


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert told(monkeypatch, tmp_path) == version.PROGRAM
