"""Sources: where a feature view's rows come from. Adding one is one class in one file.

A source is named in settings by its ``type``: the built-in ones below, or an entry point of the group
``fate_ext_plugin.sources`` whose value is a :class:`Source` class. Most third-party sources only need
:meth:`LookupSource.lookup` of :mod:`fate_ext_plugin.feature.source.lookup`.
"""
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Protocol, Sequence, Type

from fate_ext_plugin.errors import ExtError, SourceError

ENTRY_POINT_GROUP = "fate_ext_plugin.sources"
Progress = Callable[[float], None]
MAX_NAMES = 20  # of columns in one message


@dataclass(frozen=True)
class Join:
    """One exact question to a source; plain JSON values, because it goes to a child process.

    ``filters`` maps a column to the value it must equal; ``path_values`` fills placeholders of a path.
    """

    id_column: str
    columns: List[str]
    filters: Dict[str, str] = field(default_factory=dict)
    path_values: Dict[str, str] = field(default_factory=dict)
    null_value: str = ""
    missing_ids: str = "omit"
    duplicate_rows: str = "fail"
    misread_values: str = "fail"


@dataclass(frozen=True)
class Workspace:
    """What one job works with.

    ``ids_path``: one ID a line, UTF-8, LF, no header; blank lines (see ``id_file.BLANKS``) and duplicates still in.
    ``result_path``: to write, header line first. ``scratch``: an own folder to spill to, deleted afterwards, which may
    take ``scratch_bytes``.
    """

    ids_path: Path
    result_path: Path
    scratch: Path
    scratch_bytes: int
    id_name: str
    threads: int
    memory_bytes: int


@dataclass(frozen=True)
class Counts:
    """Distinct IDs that were asked for, found, and not found."""

    ids: int
    matched: int

    @property
    def missing(self) -> int:
        return self.ids - self.matched


class Source(ABC):
    """Where rows come from. Built from settings in the server; :meth:`join` runs in a child process."""

    #: marshmallow schema of the keys beside ``type``.
    settings_schema: Type[Any]

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def check_parameters(self, parameters: Mapping[str, Any]) -> None:  # noqa: B027 - most need no check
        """Raise marshmallow's ValidationError where the view's declared parameters do not fit this source."""

    @abstractmethod
    def check(self, join: Join) -> None:
        """Raise an :class:`ExtError` where ``join`` can't be answered; cheap, asked in the server at upload."""

    @abstractmethod
    def inspect(self, columns: Sequence[str]) -> Optional[str]:
        """Raise an :class:`ExtError` where the source can't be read, or lacks one of ``columns``.

        :param columns: all that the view reads, for ``fate-ext check``; none when the server starts, which wants a
            cheap look that keeps no memory.
        :return: why the columns could not be compared, as part of a sentence; None where they could.
        """

    @abstractmethod
    def join(self, join: Join, work: Workspace, progress: Progress) -> Counts:
        """Write ``work.result_path`` in FATE's dialect (contract section 2).

        :param progress: takes the share done, 0.0 to 1.0.
        :raises ExtError: with a message for the FATE job's log.
        """


def require_columns(where: str, wanted: Sequence[str], there: Collection[str]) -> None:
    """For :meth:`Source.inspect`.

    :raises SourceError: names the columns that are missing and, of a wide source the first of, those there are.
    """
    missing = [name for name in dict.fromkeys(wanted) if name not in there]
    if missing:
        raise SourceError(
            f"{where} has no column {_some(missing)}; letter case counts. It has: {_some(there) or 'none'}.")


def _some(names: Collection[str]) -> str:
    shown = ", ".join(map(repr, islice(names, MAX_NAMES)))
    return f"{shown} and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else shown


class SourceType(Protocol):
    def load(self) -> Type[Source]: ...


@dataclass(frozen=True)
class BuiltIn:
    """A source of ours, imported when it is used: its driver need not be installed otherwise."""

    module: str
    name: str

    def load(self) -> Type[Source]:
        source: Type[Source] = getattr(import_module(f"{__name__}.{self.module}"), self.name)
        return source


def source_types() -> Dict[str, SourceType]:
    """Every source type by name; an entry point can't take a built-in's name."""
    return {
        **{point.name: point for point in _entry_points()},
        "file": BuiltIn("file", "FileSource"),
        "spark": BuiltIn("spark", "SparkSource"),
        "sql": BuiltIn("sql", "SqlSource"),
    }


def _entry_points() -> Any:
    from importlib.metadata import entry_points

    found: Any = entry_points()
    # Python 3.8 and 3.9 return a dict of groups. What 3.10 and 3.11 return is a dict, too, but using it as one is
    # deprecated.
    return found.select(group=ENTRY_POINT_GROUP) if hasattr(found, "select") else found.get(ENTRY_POINT_GROUP, ())


__all__ = ["BuiltIn", "Counts", "ExtError", "Join", "Progress", "Source", "SourceType", "Workspace", "require_columns",
           "source_types"]
