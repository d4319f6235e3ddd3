"""Feature views: what may be asked for, and how a request becomes one exact join."""
import re
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from fate_ext_plugin.errors import InvalidRequestBody
from fate_ext_plugin.feature.source import Join, Source

# Keys of requestBody that are not a view's parameters; job_id and sign are FATE Flow's (contract section 1).
RESERVED_NAMES: FrozenSet[str] = frozenset({"view", "features", "head", "job_id", "sign"})
MAX_VALUE_LENGTH = 256


@dataclass(frozen=True)
class Parameter:
    """A value that an upload may give: it fills ``{name}`` in a path, or filters ``column``."""

    pattern: str
    required: bool = False
    default: Optional[str] = None
    column: Optional[str] = None


@dataclass(frozen=True)
class View:
    """A named set of features: where they are, which columns are served, which parameters are declared."""

    name: str
    source: Source
    id_column: str
    columns: Sequence[str]
    parameters: Mapping[str, Parameter]
    null_value: str
    missing_ids: str
    duplicate_rows: str
    misread_values: str

    def join(self, body: Mapping[str, Any]) -> Join:
        """What to join for a requestBody.

        :param body: requestBody as an object; keys in :data:`RESERVED_NAMES` other than ``features`` are skipped.
        :raises InvalidRequestBody: something undeclared or badly formed, with the list of what is allowed.
        """
        filters, path_values = self._arguments(body)
        return Join(
            id_column=self.id_column,
            columns=self._features(body.get("features")),
            filters=filters,
            path_values=path_values,
            null_value=self.null_value,
            missing_ids=self.missing_ids,
            duplicate_rows=self.duplicate_rows,
            misread_values=self.misread_values,
        )

    def source_columns(self) -> List[str]:
        """Every column of the source that a job may read."""
        filtered = [parameter.column for parameter in self.parameters.values() if parameter.column]
        return list(dict.fromkeys([self.id_column, *self.columns, *filtered]))

    def _features(self, wanted: Any) -> List[str]:
        if wanted is None:
            return list(self.columns)
        unknown = [name for name in wanted if name not in self.columns]
        if unknown or not wanted:
            raise InvalidRequestBody(
                f"features: {'unknown: ' + ', '.join(map(repr, unknown)) if unknown else 'empty'}. "
                f"View {self.name!r} has: {', '.join(self.columns)}.")
        if len(set(wanted)) < len(wanted):
            raise InvalidRequestBody("features: names a column twice.")
        return list(wanted)

    def _arguments(self, body: Mapping[str, Any]) -> Tuple[Dict[str, str], Dict[str, str]]:
        undeclared = set(body) - RESERVED_NAMES - set(self.parameters)
        if undeclared:
            allowed = ", ".join(self.parameters) or "none"
            raise InvalidRequestBody(
                f"Undeclared in requestBody: {', '.join(map(repr, sorted(undeclared)))}. "
                f"Parameters of view {self.name!r}: {allowed}; always allowed: view, features, head.")
        filters, path_values = {}, {}
        for name, parameter in self.parameters.items():
            value = self._argument(name, parameter, body.get(name))
            if value is None:
                continue
            if parameter.column is None:
                path_values[name] = value
            else:
                filters[parameter.column] = value
        return filters, path_values

    def _argument(self, name: str, parameter: Parameter, given: Any) -> Optional[str]:
        if given is None:
            if parameter.required:
                raise InvalidRequestBody(f"Parameter {name!r} of view {self.name!r} is required, but missing.")
            return parameter.default
        if isinstance(given, bool) or not isinstance(given, (str, int, float)):
            raise InvalidRequestBody(f"Parameter {name!r} must be a text or a number.")
        value = str(given)
        if len(value) > MAX_VALUE_LENGTH or not re.fullmatch(parameter.pattern, value):
            raise InvalidRequestBody(
                f"Parameter {name!r}: {value[:80]!r} does not match the pattern {parameter.pattern!r} "
                f"of view {self.name!r}.")
        return value


def choose_view(views: Mapping[str, View], default: Optional[str], wanted: Optional[str]) -> View:
    """The view an upload means: the one it names, the default, or the only one.

    :raises InvalidRequestBody: names the views there are.
    """
    name = wanted or default or (next(iter(views)) if len(views) == 1 else None)
    if name is None:
        raise InvalidRequestBody(f"Say which view in requestBody: one of {', '.join(sorted(views))}.")
    if name not in views:
        raise InvalidRequestBody(f"Unknown view {name[:80]!r}. Views here: {', '.join(sorted(views))}.")
    return views[name]
