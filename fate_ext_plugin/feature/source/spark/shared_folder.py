"""A job's own folder below ``shared_path``, on any file system that Hadoop knows."""
import logging
import re
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, List
from uuid import uuid4

from fate_ext_plugin.errors import SourceError
from fate_ext_plugin.util.periodic import run_periodically

log = logging.getLogger(__name__)

OURS = re.compile(r"fate_ext-[0-9a-f]{32}")
ALIVE = "alive"
BEAT_SECONDS = 60.0
# A folder whose job did not touch it for so long was left by one that was killed together with its driver.
STALE_MS = 3_600_000


class SharedFolder:
    """Made on entering, for its owner alone; removed at the end, by the driver itself where the child is killed."""

    def __init__(self, spark: Any, shared_path: str) -> None:
        self._hadoop = spark._jvm.org.apache.hadoop.fs
        self._root = self._hadoop.Path(shared_path)
        self._files = self._root.getFileSystem(spark._jsc.hadoopConfiguration())
        self._folder = self._hadoop.Path(self._root, f"fate_ext-{uuid4().hex}")
        self._stack = ExitStack()

    def __enter__(self) -> "SharedFolder":
        if not self._files.isDirectory(self._root):
            raise SourceError(f"shared_path {self._root.toString()} is no folder; make it.")
        self._files.mkdirs(self._folder, self._hadoop.permission.FsPermission("700"))
        self._files.deleteOnExit(self._folder)
        self._heartbeat()
        self._stack.enter_context(run_periodically(self._heartbeat, BEAT_SECONDS))
        self._sweep()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()
        with suppress(Exception):  # a later job sweeps it
            self._files.delete(self._folder, True)

    def url(self, name: str) -> str:
        return str(self._hadoop.Path(self._folder, name).toString())

    def put(self, local: Path) -> str:
        """Copy a local file into the folder; returns its url."""
        url = self.url(local.name)
        self._files.copyFromLocalFile(self._local(local), self._hadoop.Path(url))
        return url

    def get(self, name: str, scratch: Path) -> List[str]:
        """The Parquet files of a folder in this one as local files, copied to ``scratch`` if need be."""
        path = self._hadoop.Path(self._folder, name)
        if self._files.getScheme() == "file":
            folder = Path(str(path.toUri().getPath()))
        else:
            folder = scratch / name
            self._files.copyToLocalFile(False, path, self._local(folder), True)
        return sorted(map(str, folder.glob("*.parquet")))

    def _local(self, path: Path) -> Any:
        return self._hadoop.Path(f"file://{path}")  # Hadoop decodes no %20

    def _heartbeat(self) -> None:
        with suppress(Exception):  # the next one counts as well
            self._files.create(self._hadoop.Path(self._folder, ALIVE), True).close()

    def _sweep(self) -> None:
        """Remove what jobs left here that are no more; times are the file system's own."""
        now = self._touched(self._folder)
        for status in self._files.listStatus(self._root):
            path = status.getPath()
            if OURS.fullmatch(path.getName()) and now - self._touched(path) > STALE_MS:
                with suppress(Exception):  # another site's, or another job was faster
                    self._files.delete(path, True)
                    log.warning("removed %s, which a job left that was killed", path.toString())

    def _touched(self, folder: Any) -> int:
        for path in (self._hadoop.Path(folder, ALIVE), folder):
            with suppress(Exception):
                return int(self._files.getFileStatus(path).getModificationTime())
        return 2**63  # gone meanwhile
