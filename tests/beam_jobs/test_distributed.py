"""The same job on workers of their own, on a job server, and on a store: the same bytes."""

import contextlib
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from beam_jobs import pipeline, storage
from beam_jobs.sources import phantom
from beam_jobs.sources.phantom_image import Sample
from records import files
from records.errors import CallerError
from tests import make

ROOT = pathlib.Path(__file__).parents[2]
IMAGES = 24
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def start(data_dir, output_dir, *more: str) -> subprocess.Popen:
    arguments = [
        "--dataset=phantom",
        f"--data_dir={data_dir}",
        f"--output_dir={output_dir}",
        f"--phantom_images={IMAGES}",
        "--phantom_size=2056x640",
        "--sizes=96x64",
        "--recipe=plain",
        "--images_per_shard=2",
        *more,
    ]
    return make.start("beam_jobs.tfrecords", *arguments, env=ENVIRONMENT)


def convert(data_dir, output_dir, *more: str) -> str:
    """Runs the job to its good end; returns what it said."""
    with start(data_dir, output_dir, *more) as job:
        said, _ = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert "Traceback" not in said
    return said


@contextlib.contextmanager
def running(*command: str, says: str):
    """Starts a server and yields the match of the line it says when it is up, and the process."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-u", *command], stdout=log, stderr=log, env=ENVIRONMENT
        )
        try:
            for _ in range(600):
                log.seek(0)
                if match := re.search(says, log.read()):
                    break
                assert server.poll() is None
                time.sleep(0.1)
            else:
                pytest.fail(f"{command} does not say {says}")
            yield match, server
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "phantom"
    phantom.make(directory, Sample(images=IMAGES, height=2056, width=640))
    return directory


def fingerprints(directory: pathlib.Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((directory / "phantom" / "96x64" / "plain").iterdir())
        if path.is_file()
    }


@pytest.fixture(scope="module")
def wanted(images, tmp_path_factory):
    """What this machine alone writes."""
    output_dir = tmp_path_factory.mktemp("out")
    convert(images, output_dir)
    return fingerprints(output_dir)


@pytest.fixture(scope="module")
def scheduler():
    command = ["-m", "distributed.cli.dask_scheduler", "--port=0", "--no-dashboard"]
    with running(*command, says=r"Scheduler at:\s+(tcp://\S+)") as (match, _):
        yield match[1]


@contextlib.contextmanager
def dask_worker(address: str):
    command = ["-m", "distributed.cli.dask_worker", address, "--nthreads=1", "--no-nanny"]
    with running(*command, "--no-dashboard", says="Registered to") as (_, process):
        yield process


@pytest.mark.slow
def test_dask_workers_write_the_same_bytes(images, wanted, scheduler, tmp_path):
    with dask_worker(scheduler), dask_worker(scheduler):
        convert(images, tmp_path, "--runner=DaskRunner", f"--dask_client_address={scheduler}")
    assert fingerprints(tmp_path) == wanted


@pytest.mark.slow
def test_a_dask_worker_that_dies_is_replaced_by_the_other(images, wanted, scheduler, tmp_path):
    work_folder = tmp_path / "phantom" / "96x64" / "plain" / ".shards"
    with dask_worker(scheduler), dask_worker(scheduler) as victim:
        os.kill(victim.pid, signal.SIGSTOP)  # takes its fraction of the work and does nothing
        dask = ("--runner=DaskRunner", f"--dask_client_address={scheduler}")
        with start(images, tmp_path, *dask) as job:
            while not list(work_folder.glob("*.json"))[1:] and job.poll() is None:
                time.sleep(0.05)
            time.sleep(1)
            assert job.poll() is None
            os.kill(victim.pid, signal.SIGKILL)
            said, _ = job.communicate(timeout=120)
            assert job.returncode == 0, said
    assert fingerprints(tmp_path) == wanted


@pytest.mark.slow
def test_a_portable_job_server_writes_the_same_bytes(images, wanted, tmp_path):
    service = "apache_beam.runners.portability.local_job_service_main"
    with running("-m", service, says=r"Listening for beam jobs on port (\d+)") as (match, _):
        endpoint = f"--job_endpoint=localhost:{match[1]}"
        convert(
            images, tmp_path, "--runner=PortableRunner", endpoint, "--environment_type=LOOPBACK"
        )
    assert fingerprints(tmp_path) == wanted


@pytest.fixture(scope="module")
def store():
    """A bucket of a server that speaks S3, with boto3's client of it."""
    boto3 = pytest.importorskip("boto3")
    with running("-m", "moto.server", "-p", "0", says=r"Running on (http://\S+)") as (match, _):
        client = boto3.client(
            "s3",
            endpoint_url=match[1],
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )
        client.create_bucket(Bucket="images")
        yield client, match[1]


def names_in(client) -> dict[str, bytes]:
    listed = client.list_objects_v2(Bucket="images", Prefix="out [1]/").get("Contents", [])
    return {
        entry["Key"]: client.get_object(Bucket="images", Key=entry["Key"])["Body"].read()
        for entry in listed
    }


@pytest.fixture(scope="module")
def look_alike(tmp_path_factory):
    """The phantoms with patient names of CBIS-DDSM: a data set that may lie in a store."""
    directory = tmp_path_factory.mktemp("cbis_ddsm") / "images"
    phantom.make(directory, Sample(images=12, height=2056, width=640))
    for table in directory.rglob("*.csv"):
        table.write_text(table.read_text().replace("PHANTOM_", "P_"))
    return directory


@pytest.mark.slow
def test_a_store_gives_images_and_takes_records(look_alike, store, tmp_path):
    client, url = store
    for path in look_alike.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), "images", f"in/{path.relative_to(look_alike)}")
    how = ("--dataset=cbis_ddsm", "--folds=2", "--images_per_shard=4")
    convert(look_alike, tmp_path, *how)
    records = tmp_path / "cbis_ddsm" / "96x64" / "plain"

    arguments = ("s3://images/in", "s3://images/out [1]", *how, f"--s3_endpoint_url={url}")
    assert "12 images in" in convert(*arguments)
    found = names_in(client)
    prefix = "out [1]/cbis_ddsm/96x64/plain/"
    assert {
        key.removeprefix(prefix): data
        for key, data in found.items()
        if "/plain/" in key and "/.shards/" not in key
    } == {path.name: path.read_bytes() for path in records.iterdir() if path.is_file()}
    ledgers = {key for key in found if "/.shards/" in key}  # they know when each image changed
    assert ledgers == {
        f"{prefix}.shards/{path.name}" for path in (records / ".shards").glob("*.json")
    }
    assert prefix.replace("96x64/plain/", "headers.csv") in found

    assert "12 images in" in convert(*arguments)  # all is there already
    assert names_in(client) == found


@pytest.mark.slow
def test_a_store_takes_files_of_any_size(store):
    client, url = store
    storage.configure(
        [
            f"--s3_endpoint_url={url}",
            "--s3_access_key_id=key",
            "--s3_secret_access_key=secret",
            "--s3_region_name=us-east-1",
        ]
    )
    # none: a shard whose images were all rejected; the last: three parts
    for size in (0, 1, 6_000_000, 20_000_000):
        path = storage.folder(f"s3://images/any/{size}")
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            file.write(data)
        assert client.get_object(Bucket="images", Key=f"any/{size}")["Body"].read() == data
        assert path.read_bytes() == data
        assert path.stat().st_size == size
    assert client.list_objects_v2(Bucket="images", Prefix="any/")["KeyCount"] == 4


def test_a_store_that_cannot_be_reached_is_one_line(tmp_path):
    with start("s3://images/in", tmp_path, "--s3_endpoint_url=http://127.0.0.1:9") as job:
        said, _ = job.communicate(timeout=120)
    assert job.returncode == 2
    (line,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert "s3://images/in can't be reached" in line
    assert "s3fs" in line


@pytest.mark.parametrize("endpoint", ["localhost:9", "localhost", "localhost:99999"])
def test_a_job_server_that_does_not_answer_is_one_line(endpoint):
    with pytest.raises(CallerError, match=f"--job_endpoint={endpoint}: no job server responds"):
        pipeline.run([], ["--runner=PortableRunner", f"--job_endpoint={endpoint}"])
