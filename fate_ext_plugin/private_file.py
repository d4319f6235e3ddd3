"""Files that hold a secret."""
from pathlib import Path

from fate_ext_plugin.errors import InvalidSettings


def require_private(path: Path) -> None:
    """:raises InvalidSettings: others than its owner may read it. :raises OSError: it is not there."""
    if path.stat().st_mode & 0o077:
        raise InvalidSettings(f"{path} is readable by others than its owner; chmod 600 it.")
