"""One S3 client for a process (Beam would make one for every call), which takes empty files too."""

from __future__ import annotations

import contextlib
import threading
import types
from typing import Any

_lock = threading.Lock()  # clients may be shared by threads, making them may not (boto3's guide)
_clients: dict[tuple[tuple[str, Any], ...], Any] = {}


def fraction_clients() -> None:
    """Makes Beam's S3 file system take the client it had before; nothing if boto3 is missing."""
    with contextlib.suppress(ImportError):
        import boto3
        from apache_beam.io.aws.clients.s3 import boto3_client

        # all that Beam's client takes of boto3 is a session, and all of a session its client
        session = types.SimpleNamespace(client=_client)
        boto3_client.boto3 = types.SimpleNamespace(
            session=types.SimpleNamespace(Session=lambda: session), __version__=boto3.__version__
        )


def _client(**how: Any) -> Any:
    import boto3

    key = tuple(sorted(how.items()))
    with _lock:
        if key not in _clients:
            _clients[key] = _take_empty_files(boto3.session.Session().client(**how))
        return _clients[key]


def _take_empty_files(client: Any) -> Any:
    """Lets a client end an upload of no part, which S3 refuses, as an object of no byte.

    Beam uploads every file in parts (S3's CompleteMultipartUpload wants at least one). A shard
    whose images were all rejected is empty.
    """
    complete = client.complete_multipart_upload

    def complete_or_put(**how: Any) -> None:
        if how["MultipartUpload"]["Parts"]:
            complete(**how)
            return
        place = {"Bucket": how["Bucket"], "Key": how["Key"]}
        client.abort_multipart_upload(**place, UploadId=how["UploadId"])
        client.put_object(**place, Body=b"")

    client.complete_multipart_upload = complete_or_put
    return client
