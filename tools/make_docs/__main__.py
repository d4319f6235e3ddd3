"""Write the tables of settings and errors anew: ``python tools/make_docs [FOLDER]``; by default in docs/ itself.

A page keeps its own words; only what stands between :data:`BEGIN` and :data:`END` is made.
"""
import sys
from pathlib import Path

import errors_tables
import settings_tables

BEGIN, END = "<!-- made by `make docs` -->\n", "<!-- end -->\n"
TABLES = {"settings.md": settings_tables.tables, "errors.md": errors_tables.tables}

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "docs"
for name, tables in TABLES.items():
    page = folder / name
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{page} needs the two lines {BEGIN}and {END}")
    page.write_text(f"{before}{begin}\n{tables()}\n{end}{after}", "utf-8")
