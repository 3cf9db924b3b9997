"""A real S3 server on loopback, in a process of its own: moto's."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

START_SEC = 60
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    # Nobody here is a machine of Amazon's.
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""That a process needs which reaches the server."""


@dataclass(frozen=True)
class Bucket:
    """An empty bucket."""

    name: str
    port: int
    log: Path
    """A line for each request."""

    def uri(self, path: str) -> str:
        """URI of a path in the bucket, as in settings."""
        return f"s3://{self.name}/{path}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def put(self, local: Path, path: str) -> str:
        """Copy a local file or folder to a path, and return its URI."""
        pafs.copy_files(str(local), f"{self.name}/{path}", pafs.LocalFileSystem(), self.filesystem)
        return self.uri(path)

    def get(self, path: str, local: Path) -> Path:
        """Copy a folder into a local one that is not there yet."""
        local.mkdir(parents=True)
        pafs.copy_files(f"{self.name}/{path}", str(local), self.filesystem, pafs.LocalFileSystem())
        return local

    def paths(self, path: str = "") -> set[str]:
        """All files below a path, relative to it."""
        root = f"{self.name}/{path}".rstrip("/")
        selector = pafs.FileSelector(root, recursive=True, allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return {info.path.removeprefix(f"{root}/") for info in infos if info.is_file}

    def requests(self) -> list[str]:
        """All requests so far: `PUT /bucket/path`."""
        return re.findall(r'"([A-Z]+ /\S*) HTTP', self.log.read_text())

    @property
    def filesystem(self) -> pafs.S3FileSystem:
        return pafs.S3FileSystem(
            access_key=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            secret_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
            region=ENVIRONMENT["AWS_REGION"],
            endpoint_override=f"127.0.0.1:{self.port}",
            scheme="http",
            allow_bucket_creation=True,
        )


@contextmanager
def s3_bucket(log: Path, name: str = "longstrap") -> Iterator[Bucket]:
    """A server with one bucket while the block runs; it holds everything in memory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SEC
        while True:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        bucket = Bucket(name, port, log)
        bucket.filesystem.create_dir(name)
        yield bucket
    finally:
        server.terminate()
        server.wait()
