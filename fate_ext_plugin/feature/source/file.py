"""Source ``file``: Parquet or CSV files on disk, joined by DuckDB."""
import glob
import os
import re
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from marshmallow import Schema, fields, validate

from fate_ext_plugin.errors import ExtError, SourceError
from fate_ext_plugin.feature.engine import duckdb_join
from fate_ext_plugin.feature.source import Counts, Join, Progress, Source, Workspace, require_columns
from fate_ext_plugin.feature.source.links import fixed_folder, require_no_way_out
from fate_ext_plugin.feature.source.placeholders import check_placeholders, fill, no_data, placeholders
from fate_ext_plugin.feature.source.relation import explaining_errors, join_relation, parquet, schema_of

# So often the files are read where they change meanwhile.
READS = 3
CHANGED = ("The source's files were changed while they were read. Write a new file beside the old one and rename it, "
           "never into it, and run the FATE job again.")
WILDCARDS = re.compile(r"[*?\[\]{}]")


class FileSchema(Schema):
    path = fields.String(required=True, validate=validate.Length(min=1), metadata={
        "help": "files to read: a path with {parameter} placeholders and * wildcards (** for folders in folders); "
                "a relative one starts where data_dir's would"})
    format = fields.String(load_default=None, validate=validate.OneOf(["parquet", "csv"]), metadata={
        "help": "parquet or csv; default: by the end of the path"})
    delimiter = fields.String(load_default=",", validate=validate.Length(equal=1), metadata={"help": "of CSV files"})


class FileSource(Source):
    settings_schema = FileSchema

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        from fate_ext_plugin.util.fields import base_dir

        self._template = str(base_dir.get() / options["path"])
        self._format = options["format"] or _format_of(self._template)
        self._delimiter = options["delimiter"]

    def check_parameters(self, parameters: Mapping[str, Any]) -> None:
        check_placeholders(self._template, parameters)

    def check(self, join: Join) -> None:
        self._files(join)

    def inspect(self, columns: Sequence[str]) -> Optional[str]:
        """The file must be readable; where its path varies, the folder above the first placeholder or wildcard.

        Columns are looked up by DuckDB, which keeps 30 MiB of this process's memory.
        """
        self._look()
        if not columns:
            return None
        files = self._sample()
        if not files:
            return f"there is no file {self._template} yet"
        with duckdb_join.schema_reader() as connection, explaining_errors(self._short(files)):
            require_columns(_named(files), columns, schema_of(connection, self._relation(files)))
        return None

    def _look(self) -> None:
        fixed = re.split(r"[{*?\[]", self._template, maxsplit=1)[0]
        path = Path(fixed) if fixed == self._template or fixed.endswith("/") else Path(fixed).parent
        if not os.access(path, os.R_OK):
            raise SourceError(f"{path} is not there, or can't be read by this user.")

    def _sample(self) -> List[str]:
        """Files of one job; where placeholders choose them, the newest and those a wildcard finds beside it."""
        names = placeholders(self._template)
        # Not *: a value is never empty, and two of them side by side would be any folder.
        files = self._found(self._template.format(**dict.fromkeys(names, "?*")))
        if not names or not files:
            return files
        newest = max(files, key=os.path.getmtime)
        if placeholders(os.path.basename(self._template)):
            return [newest]
        return [name for name in files if os.path.dirname(name) == os.path.dirname(newest)]

    def join(self, join: Join, work: Workspace, progress: Progress) -> Counts:
        """From one version of the files: read once more where one of them was replaced meanwhile."""
        for _ in range(READS):
            before = _versions(self._files(join))
            try:
                counts = join_relation(self._relation(list(before)), join, work, progress, names=self._short(before))
            except ExtError:
                if _versions(self._files(join)) == before:
                    raise
            else:
                if _versions(self._files(join)) == before:
                    return counts
        raise SourceError(CHANGED, CHANGED)

    def _files(self, join: Join) -> List[str]:
        """The files that hold the answer.

        :raises InvalidRequestBody: a value is no safe part of a path.
        :raises NoData: there are none.
        """
        files = self._found(fill(self._template, join.path_values, glob.escape))
        if not files:
            raise no_data(join.path_values)
        return files

    def _found(self, pattern: str) -> List[str]:
        """:raises SourceError: a file can't be read under its name, or a link leads out of the view's folder."""
        files = sorted(name for name in glob.iglob(pattern, recursive=True) if os.path.isfile(name))
        require_no_way_out(self._template, files)
        odd = [name for name in files if WILDCARDS.search(name)]
        if odd:
            # DuckDB would take it for a pattern.
            said = f"A file's name holds a wildcard character; rename it: {os.path.basename(odd[0])}"
            raise SourceError(said, said)
        return files

    def _short(self, files: Iterable[str]) -> Dict[str, str]:
        """What callers may be told of each file: its name in the view's folder."""
        folder = fixed_folder(self._template)
        return {name: os.path.relpath(name, folder) for name in files}

    def _relation(self, files: List[str]) -> str:
        if self._format == "parquet":
            return parquet(files)
        # Every value stays the text it is, and nothing that a sniffer could take for a comment is lost.
        return (f"read_csv({duckdb_join.literals(files)}, header = true, all_varchar = true, "
                f"delim = {duckdb_join.literal(self._delimiter)}, quote = '\"', escape = '\"', comment = '', "
                f"skip = 0, hive_partitioning = false, union_by_name = {len(files) > 1})")


def _format_of(path: str) -> str:
    return "csv" if path.lower().endswith((".csv", ".csv.gz")) else "parquet"


def _named(files: List[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} (with {len(files) - 1} more, taken together)"


def _versions(files: List[str]) -> Dict[str, Tuple[int, ...]]:
    """What tells a file from one that takes its place, or that is written into."""
    found: Dict[str, Tuple[int, ...]] = {}
    for name in files:
        status = os.stat(name)
        found[name] = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    return found
