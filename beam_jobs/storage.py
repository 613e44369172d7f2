"""Folders on this machine or in a store (s3://, gs://, hdfs://): what pathlib has not for both.

A local folder is a `pathlib.Path`; one of a store is a `UPath`, which has the same methods on top
of fsspec's file systems. Files of a store appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import fsspec
from upath import UPath
from upath._stat import UPathStatResult  # what UPath.stat returns; there is no public name

from records import file_tree
from records.errors import CallerError

Folder: TypeAlias = pathlib.Path | UPath
"""A file or a folder, wherever it lies."""

_RESPONSE_SECONDS = 20
_BLOCK = 8 << 20  # bytes read or uploaded at a time; fsspec's 50 MB would be held for every shard
_NEEDED = {
    "s3": "pip install s3fs",
    "gs": "pip install gcsfs",
    "hdfs": "Hadoop's native library (or write webhdfs://)",
}


def folder(path: str | os.PathLike[str] | UPath) -> Folder:
    """Makes the path of a folder of this machine, or of a store if it reads scheme://..."""
    if isinstance(path, UPath):
        return path
    text = os.fspath(path)
    return UPath(text) if "://" in text else pathlib.Path(text)


def configure(arguments: Sequence[str]) -> None:
    """Hands Beam's options (--s3_endpoint_url, --hdfs_host, ...) to fsspec, for this process."""
    from apache_beam.options.pipeline_options import (
        HadoopFileSystemOptions,
        PipelineOptions,
        S3Options,
    )

    logging.getLogger("aiobotocore").setLevel(logging.WARNING)  # it logs where it finds its key
    options = PipelineOptions(list(arguments))
    s3 = options.view_as(S3Options)
    hadoop = options.view_as(HadoopFileSystemOptions)
    port = None if hadoop.hdfs_port is None else int(hadoop.hdfs_port)
    server = {"host": hadoop.hdfs_host, "port": port, "user": hadoop.hdfs_user}
    client = {
        "region_name": s3.s3_region_name,
        "api_version": s3.s3_api_version,
        "verify": s3.s3_verify,
    }
    given = {
        "s3": {
            "key": s3.s3_access_key_id,
            "secret": s3.s3_secret_access_key,
            "token": s3.s3_session_token,
            "endpoint_url": s3.s3_endpoint_url,
            "use_ssl": False if s3.s3_disable_ssl else None,
            "client_kwargs": _stated(client) or None,
            "default_block_size": _BLOCK,
            "use_listings_cache": False,  # others write there at the same time
        },
        "gs": {"use_listings_cache": False},
        "hdfs": server,
        "webhdfs": server,
    }
    for scheme, values in given.items():
        fsspec.config.conf.setdefault(scheme, {}).update(_stated(values))


def _stated(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def errors() -> tuple[type[BaseException], ...]:
    """Returns what reading and writing may raise: OSError, and what clients of stores have beside.

    These are the errors of a store that stopped answering, after the client's own retries.
    """
    found: list[type[BaseException]] = [OSError]
    with contextlib.suppress(ImportError):
        from botocore.exceptions import BotoCoreError

        found.append(BotoCoreError)
    with contextlib.suppress(ImportError):
        from aiohttp import ClientError

        found.append(ClientError)
    return tuple(found)


def check_reachable(path: UPath) -> None:
    """Finds out whether a store responds, within seconds instead of its client's minutes.

    Raises:
        CallerError: it does not; gives the store's error, and what to install.
    """
    problem = [f"no response within {_RESPONSE_SECONDS} seconds"]

    def ask() -> None:
        try:
            path.exists()
            problem.clear()
        except Exception as error:  # each store has errors of its own
            problem[:] = [" ".join(str(error).split())[:300] or type(error).__name__]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_RESPONSE_SECONDS)
    if problem:
        needed = _NEEDED.get(path.protocol, "fsspec's package for them")
        raise CallerError(
            f"{path} can't be reached ({problem[0]}); {path.protocol}:// needs {needed}, and "
            "credentials where its own tools look for them"
        )


def check_folder(data_dir: Folder) -> None:
    """Refuses a data folder that is not there."""
    if not data_dir.is_dir():
        raise CallerError(f"--data_dir={data_dir} is not a folder; give that of the images")


def is_file(path: Folder) -> bool:
    """Tells whether there is such a file.

    `UPath.is_file` is False where a store does not respond; finished work would then be done again.

    Raises:
        OSError: or another of `errors`; the store does not respond.
    """
    if not isinstance(path, UPath):
        return path.is_file()
    try:
        return bool(path.fs.info(path.path)["type"] == "file")
    except FileNotFoundError:
        return False


def walk(path: UPath) -> Iterator[tuple[str, int, int]]:
    """Yields the files below a folder of a store: path relative to it, bytes, nanoseconds."""
    start = len(path.path.rstrip("/")) + 1
    for name, info in path.fs.find(path.path, detail=True).items():
        if any(map(file_tree.is_clutter, name[start:].split("/"))):
            continue
        status = UPathStatResult.from_info(info)
        yield name[start:], status.st_size, status.st_mtime_ns


def sizes(path: Folder) -> dict[str, int]:
    """Returns name -> bytes of what lies directly in a folder; nothing if there is none."""
    found: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        if isinstance(path, UPath):
            for info in path.fs.ls(path.path, detail=True):
                found[info["name"].rstrip("/").rsplit("/", 1)[-1]] = info["size"] or 0
            return found
        with os.scandir(path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # renamed since it was listed
                    found[entry.name] = entry.stat().st_size
    return found


def make_folder(path: Folder) -> None:
    """Makes a folder of this machine; stores make them with the first file, or have none.

    (For a folder, s3fs would make the bucket, however its name is misspelt.)
    """
    if not isinstance(path, UPath):
        path.mkdir(parents=True, exist_ok=True)


def entries(path: Folder) -> list[Folder]:
    """Lists what lies directly in a folder; nothing if there is none."""
    return [path / name for name in sizes(path)]
