"""What real FATE Flows sent and signed; tests/data holds it."""
import json
from pathlib import Path
from typing import Any, Dict, List

DATA = Path(__file__).parent.parent / "data"


def lines_of(name: str) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def vectors(version: str) -> Dict[str, Any]:
    """What the built-in hooks of a FATE Flow signed, and the key pair (a throw-away one)."""
    found: Dict[str, Any] = json.loads((DATA / f"fate_flow_{version}_site_signatures.json").read_text("utf-8"))
    return found
