"""Templates. Everything is escaped; a name that is not there is an error, not an empty text."""
import json
from pathlib import Path
from typing import Any, Optional

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fate_ext_plugin.console.assets import ASSETS
from fate_ext_plugin.console.page_context import CONSOLE, url
from fate_ext_plugin.feature.job import ACTIVE

_environment = Environment(
    loader=FileSystemLoader(str(Path(__file__).parent / "templates")), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True, auto_reload=False)


def rendered(template: str, **context: Any) -> str:
    return _environment.get_template(f"{template}.html").render(**context)


def _asset(name: str) -> str:
    return f"{CONSOLE}/static/{name}?v={ASSETS[name].version}"


def _size(count: Optional[float]) -> str:
    """Bytes, as people read them."""
    if count is None:
        return ""
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if count < 1024:
            break
        count, unit = count / 1024, larger
    return f"{count:.0f} {unit}" if count >= 100 or unit == "B" else f"{count:.1f} {unit}"


def _number(count: Optional[float]) -> str:
    return "" if count is None else f"{count:,.0f}"


def _seconds(count: Optional[float]) -> str:
    if count is None:
        return ""
    if count < 60:
        return f"{count:.1f} s"
    minutes, seconds = divmod(int(count), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _share(part: Optional[float], whole: Optional[float]) -> str:
    return f"{100 * (part or 0) / whole:.1f} %" if whole else ""


def _json(value: Any) -> str:
    """For an attribute, in which it is escaped as all is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_environment.filters.update(
    size=_size, number=_number, seconds=_seconds, as_json=_json)
_environment.globals.update(asset=_asset, url=url, share=_share, ACTIVE=ACTIVE)
