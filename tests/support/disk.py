"""A small disk of a test's own, to be filled and to fail: root may mount one."""
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import List

from tests.support import programs
from tests.support.site import PATIENCE_SECONDS


class Disk:
    """24 MiB of ext4 at ``folder``, in a file beside it. Skips where that can't be mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._image = folder, folder.with_name("image")
        self.folder.mkdir(parents=True)
        with open(self._image, "wb") as image:
            image.truncate(24 * 2**20)
        for command in (["mkfs.ext4", "-q", "-m", "0", str(self._image)], self._mount()):
            done = run(*command)
            if done.returncode:
                programs.missing(f"a small disk can't be mounted, which takes root: {done.stdout.strip()}")

    def _mount(self) -> List[str]:
        return ["mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder)]

    def fill(self) -> Path:
        """To the last byte; returns the file that does it."""
        filler = self.folder / "filler"
        with suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        return filler

    def fail(self) -> None:
        """Linux makes it read-only after an error."""
        device = Path(run("findmnt", "-n", "-o", "SOURCE", str(self.folder)).stdout.strip()).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("a test's")

    def replace(self) -> None:
        """As an operator does, who checks it and mounts it again."""
        self.close()
        run("e2fsck", "-p", "-f", str(self._image))
        mounted = run(*self._mount())
        assert not mounted.returncode, mounted.stdout

    def close(self) -> None:
        run("umount", "-l", str(self.folder))


def tmpfs(folder: Path, size: str) -> None:
    """Mount a disk in memory with so much space, such as ``32m``, at a folder. Skips where that can't be mounted."""
    done = run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if done.returncode:
        programs.missing(f"a small disk can't be mounted, which takes root: {done.stdout.strip()}")


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={
            **os.environ, "PATH": programs.PATH}, timeout=PATIENCE_SECONDS)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(command, 1, str(error))
