"""What the sites of these tests have of features, and what FATE jobs must get of them."""
from pathlib import Path
from typing import Any, Dict, List

COUNT = 1000


def section_of(features: Path, **changes: Any) -> Dict[str, Any]:
    """Our section with one view, ``credit``."""
    view = {
        "source": {"type": "file", "path": str(features / "{month}.parquet")}, "columns": ["amount", "age"],
        "parameters": {"month": {"pattern": r"\d{6}", "default": "202201"}}}
    return {"data_dir": "fateflow/fate_ext", "min_free_bytes": 0, "views": {"credit": view}, **changes}


def expected(numbers: Any) -> List[str]:
    """What the view says of the IDs u<number>: the header, then the lines sorted."""
    lines = [f"u{i},{i / 8},{'' if i % 10 == 0 else i}" for i in numbers if i < COUNT]
    return ["id,amount,age", *sorted(lines)]


def ids_of(numbers: Any) -> List[str]:
    return [f"u{i}" for i in numbers]
