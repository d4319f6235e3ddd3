"""The view that most tests use."""
from pathlib import Path
from typing import Any, Dict

import duckdb


def credit_view(folder: Path) -> Dict[str, Any]:
    """The view most tests use: 1,000 IDs u0 .. u999, columns amount, age and vip, in one Parquet file a month."""
    for month in ("202201", "202202"):
        path = folder / "features" / month / "part.parquet"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            duckdb.execute(
                "COPY (SELECT 'u' || i AS id, i / 8 AS amount, CASE WHEN i % 10 = 0 THEN NULL ELSE i END AS age, "
                f"i % 2 = 0 AS vip FROM range(1000) t(i)) TO '{path}' (FORMAT parquet)")
    return {
        "source": {"type": "file", "path": str(folder / "features" / "{month}" / "*.parquet")},
        "columns": ["amount", "age", "vip"],
        "parameters": {"month": {"pattern": r"\d{6}", "default": "202201"}},
    }
