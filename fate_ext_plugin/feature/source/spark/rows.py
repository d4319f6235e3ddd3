"""The rows of the uploaded IDs, as Spark finds them and as DuckDB reads them."""
import re
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from fate_ext_plugin.errors import SourceError
from fate_ext_plugin.feature.engine import duckdb_join
from fate_ext_plugin.feature.source import Join
from fate_ext_plugin.feature.source.placeholders import no_data
from fate_ext_plugin.feature.source.relation import filter_value, parquet, require_view_columns
from fate_ext_plugin.feature.source.spark.files import instants, partition_columns

# What tells rows apart where the first of two is wanted: file, block of the file, number in it.
ORDER = ("\x1ffile", "\x1fblock", "\x1fnumber")
# Times in a list or struct can't be told apart as they are below; Parquet has no intervals.
UNWRITABLE = re.compile(r"[<:,]timestamp(?![:\w])|\binterval (year|month|day|hour|minute|second)")


def read(spark: Any, options: Mapping[str, Any], url: Optional[str], join: Join) -> Any:
    """The source as a DataFrame.

    :raises NoData: there are no files under the path.
    """
    if url is None:
        return spark.table(".".join(map(_quoted, options["table"].split("."))))
    path = spark._jvm.org.apache.hadoop.fs.Path(url)
    if not path.getFileSystem(spark._jsc.hadoopConfiguration()).globStatus(path):
        raise no_data(join.path_values)
    reader = spark.read.format(options["format"])
    if options["format"] == "csv":
        # As DuckDB reads it, but that files of different columns are refused; Spark alone would mix them up.
        reader = reader.options(
            header=True, sep=options["delimiter"], quote='"', escape='"', multiLine=True, enforceSchema=False,
            mode="FAILFAST", encoding="UTF-8")
    else:
        reader = reader.option("mergeSchema", True)
    try:
        return reader.load(url)
    except Exception as error:
        if re.search("unable to infer schema|UNABLE_TO_INFER_SCHEMA", str(error), re.IGNORECASE):
            raise no_data(join.path_values) from None  # a folder without files
        raise


class Rows:
    """What a join takes of a DataFrame.

    :raises SourceError: a column is missing, or of a type that can't be served.
    :raises InvalidRequestBody: a filter's value is none of its column's type.
    :raises NoData: no partition has the value.
    """

    def __init__(self, spark: Any, frame: Any, join: Join) -> None:
        self._spark = spark
        self._types: Dict[str, Any] = {field.name: field.dataType for field in frame.schema.fields}
        self._names = [join.id_column, *join.columns]
        require_view_columns(self._types, [*self._names, *join.filters])
        self._require_comparable(join.id_column, *join.filters)
        self._require_writable()
        self._frame, self._instants = self._filtered(frame, join.filters)
        self.order = ", ".join(map(duckdb_join.identifier, ORDER)) if join.duplicate_rows == "first" else ""

    def write(self, ids: str, target: str) -> None:
        """Let Spark write the rows of these IDs as Parquet.

        :param ids: url of a text file, one ID a line.
        """
        from pyspark.sql import functions as f

        id_column, id_type = self._names[0], self._types[self._names[0]]
        # A column's name means nothing to Parquet or Hive here.
        selected = [self._frame[_quoted(name)].alias(f"c{i}") for i, name in enumerate(self._names)]
        if self.order:
            numbers = (f.input_file_name(), f.expr("input_file_block_start()"), f.monotonically_increasing_id())
            selected += [number.alias(f"o{i}") for i, number in enumerate(numbers)]
        rows = self._frame.filter(self._frame[_quoted(id_column)].isNotNull()).select(*selected)
        uploaded = self._spark.read.text(ids, lineSep="\n")
        # It may find more: DuckDB compares the text of both.
        found = rows.join(uploaded, rows["c0"] == uploaded["value"].cast(id_type), "left_semi")
        found.write.option("compression", "snappy").parquet(target)

    def relation(self, files: List[str]) -> str:
        """What :meth:`write` wrote, under the columns' names, as a relation for DuckDB."""
        columns = [f"{self._as_stored(name, f'c{i}')} AS {duckdb_join.identifier(name)}"
                   for i, name in enumerate(self._names)]
        if self.order:
            columns += [f"o{i} AS {duckdb_join.identifier(name)}" for i, name in enumerate(ORDER)]
        return f"(SELECT {', '.join(columns)} FROM {parquet(files)})"

    def _as_stored(self, name: str, column: str) -> str:
        """Spark writes every TIMESTAMP as an instant, to be shown in a zone; most files hold plain times."""
        plain = self._types[name].simpleString() == "timestamp" and name not in self._instants
        return f"{column} AT TIME ZONE 'UTC'" if plain else column

    def _require_comparable(self, *names: str) -> None:
        from pyspark.sql.types import AtomicType, BinaryType

        for name in names:
            if not isinstance(self._types[name], AtomicType) or isinstance(self._types[name], BinaryType):
                said = (f"Column {name!r} is {self._types[name].simpleString()}, which can't be compared with an ID or "
                        "a parameter.")
                raise SourceError(said, said)

    def _require_writable(self) -> None:
        for name in self._names:
            text = self._types[name].simpleString()
            if UNWRITABLE.search(text):
                said = f"Column {name!r} is {text}, which can't be served; take it out of the view."
                raise SourceError(said, said)

    def _filtered(self, frame: Any, filters: Mapping[str, str]) -> Tuple[Any, FrozenSet[str]]:
        """The frame's rows that the parameters choose; its columns that hold instants."""
        partitions = partition_columns(frame)
        chosen = {name: value for name, value in filters.items() if name in partitions}
        frame = self._equal(frame, chosen, frozenset())
        # Looks up folders, reads no file.
        if chosen and frame._jdf.rdd().getNumPartitions() == 0:
            raise no_data(chosen)
        used = {*self._names, *filters} - partitions
        held = instants(self._spark, frame, [
            name for name in used if self._types[name].simpleString() == "timestamp"])
        others = {name: value for name, value in filters.items() if name not in partitions}
        return self._equal(frame, others, held), held

    def _equal(self, frame: Any, filters: Mapping[str, str], held: FrozenSet[str]) -> Any:
        from pyspark.sql import functions as f

        with duckdb_join.schema_reader() as connection:
            for name, value in filters.items():
                type_name = _duck_type(connection, self._types[name].simpleString(), name in held)
                wanted = filter_value(connection, name, type_name, value)
                frame = frame.filter(frame[_quoted(name)] == f.lit(wanted).cast(self._types[name]))
        return frame


def _duck_type(connection: Any, spark_type: str, instant: bool) -> str:
    """DuckDB's name of the type that a file of source ``file`` would have."""
    if instant:
        return "TIMESTAMP WITH TIME ZONE"
    plain = spark_type.replace("timestamp_ntz", "timestamp")
    return str(connection.execute(f"SELECT typeof(CAST(NULL AS {plain}))").fetchone()[0])


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
