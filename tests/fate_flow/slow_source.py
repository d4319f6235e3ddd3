"""A third party's source, as an entry point names it: it answers every ID with its length, after ``seconds``."""
import time
from typing import Any, Sequence

from marshmallow import Schema, fields

from fate_ext_plugin.feature.source import Counts, Join, Progress, Source, Workspace


class SlowSchema(Schema):
    seconds = fields.Float(required=True)


class SlowSource(Source):
    settings_schema: Any = SlowSchema

    def check(self, join: Join) -> None:
        pass

    def inspect(self, columns: Sequence[str]) -> None:
        pass

    def join(self, join: Join, work: Workspace, progress: Progress) -> Counts:
        time.sleep(self.options["seconds"])
        ids = sorted({line for line in work.ids_path.read_text("utf-8").splitlines() if line})
        with open(work.result_path, "w", encoding="utf-8") as file:
            file.write(",".join([work.id_name, *join.columns]) + "\n")
            file.writelines(f"{id},{len(id)}\n" for id in ids)
        return Counts(len(ids), len(ids))
