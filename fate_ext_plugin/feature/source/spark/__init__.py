"""Source ``spark``: a data lake's files or a Hive table, joined by the site's own Spark.

Spark does the large part: of all rows it keeps those of the uploaded IDs, and writes them as Parquet to a folder that
it shares with us. The rest is what happens to the files of source ``file``: DuckDB compares IDs as text, looks for two
rows of one ID and for values that FATE would misread, and writes the lines. So both sources give the same answers.

pyspark is imported in a job's child process only; the server never starts a Spark application.
"""
import os
import re
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Dict, Mapping, Optional, Sequence
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from fate_ext_plugin.db.url_schema import refuse_secret
from fate_ext_plugin.errors import SourceError
from fate_ext_plugin.feature.source import Counts, Join, Progress, Source, Workspace
from fate_ext_plugin.feature.source.lookup import share_of
from fate_ext_plugin.feature.source.placeholders import check_placeholders, fill, require_columns_given
from fate_ext_plugin.feature.source.relation import join_relation
from fate_ext_plugin.feature.source.spark.application import (
    FIXED,
    application,
    explaining_errors,
    reporting,
    require_java,
    require_master,
)
from fate_ext_plugin.feature.source.spark.rows import Rows, read
from fate_ext_plugin.feature.source.spark.shared_folder import SharedFolder
from fate_ext_plugin.util.fields import Boolean

# What Spark itself keeps out of its logs (spark.redaction.regex).
SECRET = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)
# Of a job's progress: until Spark has started, and until it has written the rows.
START_SHARE, SPARK_SHARE = 0.1, 0.8


class Url(fields.String):
    """A folder or file on a file system that Hadoop knows."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> str:
        url: str = super()._deserialize(value, attr, data, **kwargs)
        refuse_secret(url)
        if not re.match(r"[a-z][a-z0-9+.-]*://", url):
            raise ValidationError("Must be a url, such as hdfs://namenode:8020/path or file:///path.")
        return url


class ConfValue(fields.Field):
    """YAML's true is Spark's ``true``."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, (str, int, float)):
            raise ValidationError("Must be a text, a number, true or false.")
        return str(value)


class SparkSchema(Schema):
    master = fields.String(required=True, validate=validate.Regexp(
        r"\A(yarn|local(\[(\*|[0-9]+)\])?|spark://[^\s,:/@]+:[0-9]+(,[^\s,:/@]+:[0-9]+)*)\Z",
        error="Must be spark://host:port, yarn, or local[*]."), metadata={
            "help": "the site's Spark: spark://host:port, yarn, or local[*] for this machine alone"})
    table = fields.String(load_default=None, validate=validate.Regexp(
        r"\A[^.`\x00-\x1f]+(\.[^.`\x00-\x1f]+){0,2}\Z", error="Must be a table's name, or database.name."), metadata={
            "help": "table or view in Spark's catalog to read: name, or database.name"})
    hive = Boolean(load_default=True, metadata={
        "help": "look tables up in Hive's metastore, which hive-site.xml or conf names"})
    path = Url(load_default=None, metadata={
        "help": "instead of a table, the url of files or of a folder with its partitions, with {parameter} "
                "placeholders and * wildcards"})
    format = fields.String(load_default="parquet", validate=validate.OneOf(["parquet", "orc", "csv"]), metadata={
        "help": "parquet, orc or csv: what the files of path are"})
    delimiter = fields.String(load_default=",", validate=validate.Length(equal=1), metadata={"help": "of CSV files"})
    shared_path = Url(required=True, metadata={
        "help": "folder through which IDs go to Spark and rows come back; each job removes its own part of it"})
    conf = fields.Dict(fields.String(), ConfValue(), load_default=dict, metadata={
        "help": "entries of Spark's configuration for its jobs; never a secret"})

    @validates_schema
    def one_place(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["table"] is None) == (data["path"] is None):
            raise ValidationError("Give either table or path.", "table")
        if data["path"] and "**" in data["path"]:
            raise ValidationError("Spark knows no **; it reads the folders in a folder anyway.", "path")

    @validates_schema
    def sound_conf(self, data: Mapping[str, Any], **_: Any) -> None:
        errors: Dict[str, str] = {}
        for key, value in data["conf"].items():
            if not key.startswith("spark."):
                errors[key] = "Must start with spark. (a Hadoop setting: spark.hadoop.)"
            elif key in FIXED:
                errors[key] = "The source sets this itself."
            elif SECRET.search(key) or SECRET.search(value):
                errors[key] = ("May hold a secret, which settings never do. Put it into spark-defaults.conf or "
                               "core-site.xml of the Spark installation, readable by the server's user alone.")
        if errors:
            raise ValidationError({"conf": errors})


class SparkSource(Source):
    settings_schema = SparkSchema

    def check_parameters(self, parameters: Mapping[str, Any]) -> None:
        if self.options["path"]:
            check_placeholders(self.options["path"], parameters)
        else:
            require_columns_given(parameters)

    def check(self, join: Join) -> None:
        """Whether values fit into the path; what is there, Spark alone knows."""
        self._url(join)

    def inspect(self, columns: Sequence[str]) -> str:
        """What is needed to start an application must be there; none is started."""
        if find_spec("pyspark") is None:
            raise SourceError("pyspark is not installed; run: pip install 'fate-ext-plugin[spark]'")
        require_java()
        require_master(self.options["master"])
        shared = urlsplit(self.options["shared_path"])
        if shared.scheme == "file" and not os.access(shared.path, os.R_OK | os.W_OK | os.X_OK):
            raise SourceError(f"shared_path {shared.path} is not there, or this user may not write to it.")
        return "only a job asks Spark for them"

    def join(self, join: Join, work: Workspace, progress: Progress) -> Counts:
        options = self.options
        with ExitStack() as stack:
            with explaining_errors():
                spark = stack.enter_context(application(
                    options["master"], options["conf"], options["hive"] and options["table"] is not None, work.scratch))
                progress(START_SHARE)
                folder = stack.enter_context(SharedFolder(spark, options["shared_path"]))
                frame = read(spark, options, self._url(join), join)
                rows = Rows(spark, frame, join)
                with reporting(spark, share_of(progress, START_SHARE, SPARK_SHARE)):
                    rows.write(folder.put(work.ids_path), folder.url("rows"))
                spark.stop()  # the cluster is for others again
                relation = rows.relation(folder.get("rows", work.scratch))
            # Filters are done, and there is no path any more.
            return join_relation(
                relation, replace(join, filters={}, path_values={}), work, share_of(progress, SPARK_SHARE, 1.0),
                rows.order)

    def _url(self, join: Join) -> Optional[str]:
        return fill(self.options["path"], join.path_values) if self.options["path"] else None
