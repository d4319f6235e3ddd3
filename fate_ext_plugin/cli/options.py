"""Options that several commands have."""
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

import click

CONF = click.option("--conf", default="conf/service_conf.yaml", show_default=True, metavar="FILE",
                    callback=lambda context, parameter, value: Path(value),
                    help="service_conf.yaml with the section fate_ext_plugin.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
DATE_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


class Moment(click.ParamType):
    """A date of the server's clock, or so many days from now, as text."""

    name = "date"

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> str:
        for form in DATE_FORMS:
            with suppress(ValueError):
                time.strptime(value, form)
                return str(value)
        if re.fullmatch(r"[0-9]{1,5}d", value):
            return str(value)
        return self.fail(f"{value!r} is none of 2027-01-31, '2027-01-31 18:00' or 90d (days from now).", param, ctx)
