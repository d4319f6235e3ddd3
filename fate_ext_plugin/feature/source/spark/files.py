"""What the files behind a DataFrame say that its schema does not."""
from typing import Any, Collection, FrozenSet, Optional


def partition_columns(frame: Any) -> FrozenSet[str]:
    """Columns whose values stand in the names of folders; none for a view of more than one table."""
    leaf = _only_leaf(frame)
    if leaf is None:
        return frozenset()
    if _class_name(leaf) == "HiveTableRelation":
        return frozenset(leaf.tableMeta().partitionSchema().fieldNames())
    relation = _file_relation(leaf)
    return frozenset(relation.partitionSchema().fieldNames()) if relation else frozenset()


def instants(spark: Any, frame: Any, columns: Collection[str]) -> FrozenSet[str]:
    """Those TIMESTAMP columns that Parquet files hold as instants rather than as plain times; Spark has one type.

    The first file speaks for all.
    """
    leaf = _only_leaf(frame) if columns else None
    relation = _file_relation(leaf) if leaf else None
    if relation is None or _class_name(relation.fileFormat()) != "ParquetFileFormat":
        return frozenset()
    files = frame.inputFiles()
    if not files:
        return frozenset()
    schema = _parquet_schema(spark, files[0])
    return frozenset(name for name in columns if schema.containsField(name) and _is_instant(schema.getType(name)))


def _only_leaf(frame: Any) -> Optional[Any]:
    leaves = frame._jdf.queryExecution().analyzed().collectLeaves()
    return leaves.apply(0) if leaves.size() == 1 else None


def _file_relation(leaf: Any) -> Optional[Any]:
    if _class_name(leaf) != "LogicalRelation" or _class_name(leaf.relation()) != "HadoopFsRelation":
        return None
    return leaf.relation()


def _class_name(java: Any) -> str:
    return str(java.getClass().getSimpleName())


def _parquet_schema(spark: Any, url: str) -> Any:
    parquet = spark._jvm.org.apache.parquet.hadoop
    path = spark._jvm.org.apache.hadoop.fs.Path(spark._jvm.java.net.URI(url))
    reader = parquet.ParquetFileReader.open(
        parquet.util.HadoopInputFile.fromPath(path, spark._jsc.hadoopConfiguration()))
    try:
        return reader.getFooter().getFileMetaData().getSchema()
    finally:
        reader.close()


def _is_instant(column: Any) -> bool:
    """Not INT96, which Hive and Spark write by default and which knows no zone."""
    primitive = column.asPrimitiveType().getPrimitiveTypeName().toString()
    return primitive == "INT64" and bool(column.getLogicalTypeAnnotation().isAdjustedToUTC())
