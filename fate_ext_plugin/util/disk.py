"""What says that a disk is full."""
import errno
import os

FULL = (errno.ENOSPC, errno.EDQUOT)


def says_disk_full(error: BaseException) -> bool:
    """DuckDB says it in words: of a file that it writes, or of its limit of what it spills."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    words = {"IOException": os.strerror(errno.ENOSPC), "OutOfMemoryException": "max_temp_directory_size"}
    return type(error).__name__ in words and words[type(error).__name__] in str(error)
