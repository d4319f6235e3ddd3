"""The console's own files, in memory: style, script, icon and uPlot, the charting library (MIT, uPlot-LICENSE)."""
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Dict

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """``version``: of its content; a url with it may be kept for ever."""

    content: bytes
    content_type: str
    version: str


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])


ASSETS: Dict[str, Asset] = {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}
