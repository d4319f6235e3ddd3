"""A request for permission, as FATE Flow makes it when a job is created, read into what the rules need."""
import json
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from fate_ext_plugin.errors import InvalidPermissionRequest
from fate_ext_plugin.permission.item import Item, code_point, component, dataset, unusable
from fate_ext_plugin.permission.source import (
    common_parameters,
    inherited,
    model_read,
    read_by_components,
    reads_something,
    require_known_inputs,
)

# FATE's jobs have some dozens.
MAX_ITEMS = 200
MAX_NAME = 255
ROLES = ("guest", "host", "arbiter", "local", "")
# Stands for parties that are not told.
UNKNOWN = "?"
# '' and 0 stand for the site itself (contract section 6).
SELF = ("", "0")
LOCAL = "local"


@dataclass(frozen=True)
class PermissionRequest:
    """``party`` asks the party ``site`` here, in ``role``, for ``items``, all of them.

    ``initiator``: the party that starts the job; ``others``: parties that take part beside these two; ``job``: FATE's
    job ID, None where it is not known; ``local``: the site's own job.
    """

    party: str
    role: str
    site: str
    items: Tuple[Item, ...]
    initiator: str = ""
    others: FrozenSet[str] = frozenset()
    job: Optional[str] = None
    local: bool = False

    def to_dict(self) -> Dict[str, Any]:
        """For the audit log; :meth:`from_dict` reads it."""
        return {"party": self.party, "role": self.role, "site": self.site, "initiator": self.initiator,
                "others": sorted(self.others), "job": self.job, "local": self.local,
                "items": [[item.kind, *item.parts] for item in self.items]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PermissionRequest":
        """:raises ValueError, TypeError, KeyError: it is not one that :meth:`to_dict` made."""
        items = tuple(Item(kind, tuple(parts)) for kind, *parts in values["items"])
        return cls(**{**values, "items": items, "others": frozenset(values["others"])})


def read_request(
    given: Mapping[str, Any], own_party: str, job: Optional[str] = None, trust_own: bool = False
) -> PermissionRequest:
    """:param given: by FATE Flow's names: ``component_list``, and where they are known ``src_party_id``, ``role``,
        ``party_id``, ``initiator``, ``roles``, ``dataset_list``, ``component_parameters``, ``run_time_conf``, ``dsl``,
        ``train_runtime_conf``, and the job's own ``inheritance_info``.
    :param own_party: this site's party ID, '' where it is not known.
    :param job: FATE's job ID, where it is known better than from ``run_time_conf``.
    :param trust_own: what this site's own job reads may be unclear, as it needs no grant.
    :raises InvalidPermissionRequest: says what can't be read.
    """
    asking, site, role = (_name(given.get(key), key) for key in ("src_party_id", "party_id", "role"))
    if role not in ROLES:
        raise InvalidPermissionRequest(f"role must be one of {', '.join(ROLES[:-1])}.")
    # Whoever asks chooses role and party in the path, so neither makes a job this site's own.
    own = asking in SELF or (asking == own_party)
    local = own and (role == LOCAL or site == "0" or (asking not in SELF and site == own_party))
    party = (own_party or asking) if asking in SELF else asking
    try:
        items = _items(given, party, role, job)
    except InvalidPermissionRequest:
        if not (local and trust_own):
            raise
        items = []
    return PermissionRequest(
        party=party, role=role, site=site, items=tuple(items),
        initiator=_initiator(given.get("initiator")),
        others=_parties(given.get("roles")) - {party, own_party or site},
        job=job or _job(given.get("run_time_conf")), local=local)


def _items(given: Mapping[str, Any], party: str, role: str, job: Optional[str]) -> List[Item]:
    """Components first: FATE Flow's own check looks at them first, too."""
    if given.get("component_list") is None:
        raise InvalidPermissionRequest("component_list is missing.")
    modules = [_text(name, "component_list").lower() for name in _list(given["component_list"], "component_list")]
    parameters = given.get("component_parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidPermissionRequest("component_parameters must be an object.")
    # FATE Flow makes readers of an old configuration's inputs, which stand among the parameters only.
    items = [component(_text(name, "component_parameters")) for name in (*modules, *(parameters or ()))]
    require_known_inputs(given.get("dsl"))
    conf = given.get("run_time_conf")
    items += _read(given, modules, parameters, role)
    for info in (common_parameters(conf).get("inheritance_info"), given.get("inheritance_info")):
        items += inherited(info, _text)
    items += model_read(conf, given.get("train_runtime_conf"), job, party, _text)
    unique = list(dict.fromkeys(items))
    if len(unique) > MAX_ITEMS:
        raise InvalidPermissionRequest(f"The job names over {MAX_ITEMS} components and datasets; split it.")
    return unique


def _read(given: Mapping[str, Any], modules: Sequence[str], parameters: Any, role: str) -> List[Item]:
    """By the parameters, which are what the components will really read. FATE Flow's dataset_list lacks tables among
    "common" parameters, cuts names at dots, and holds another host's tables where there are several. It is used only
    where a caller sends no parameters."""
    if parameters:
        return read_by_components(parameters, modules, role, _text)
    listed = [_dataset(value) for value in _list(given.get("dataset_list"), "dataset_list")]
    if not listed and reads_something(modules, role):
        raise InvalidPermissionRequest("component_parameters and dataset_list: they do not say what the job reads.")
    return listed


def _dataset(value: Any) -> Item:
    """An object, its JSON text (FATE Flow's ``DataSet.value``), or ``namespace.name`` as FATE Flow joins them."""
    if isinstance(value, str):
        namespace, dot, name = value.partition(".")
        if dot and "." not in name and "{" not in value:
            return dataset(namespace, name)
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if isinstance(value, Mapping):
        names = [value.get("namespace"), value.get("name")]
    else:  # in FATE Flow's own process
        names = [getattr(value, "namespace", None), getattr(value, "name", None)]
    if any(name is None for name in names):
        raise InvalidPermissionRequest(
            "dataset_list: each must be an object with namespace and name, or a text namespace.name with one dot.")
    return dataset(*(_text(name, "dataset_list") for name in names))


def _job(conf: Any) -> Optional[str]:
    """The model version is the job's ID where the job makes a model; a predict job names the model it uses."""
    parameters = common_parameters(conf)
    version = parameters.get("model_version")
    if parameters.get("job_type") == "predict" or not isinstance(version, str):
        return None
    return version or None


def _initiator(given: Any) -> str:
    if given is None:
        return ""
    if not isinstance(given, Mapping):
        raise InvalidPermissionRequest("initiator must be an object with role and party_id.")
    return _name(given.get("party_id"), "initiator.party_id")


def _parties(roles: Any) -> FrozenSet[str]:
    if roles is None:
        return frozenset({UNKNOWN})
    if not isinstance(roles, Mapping):
        raise InvalidPermissionRequest("roles must be an object of lists of party IDs.")
    return frozenset(_text(party, "roles") for listed in roles.values() for party in _list(listed, "roles"))


def _list(value: Any, where: str) -> List[Any]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise InvalidPermissionRequest(f"{where} must be a list.")
    return list(value)


def _name(value: Any, where: str) -> str:
    return "" if value is None else _text(value, where)


def _text(value: Any, where: str) -> str:
    """Party IDs come as numbers, too. What can't be shown may be another spelling of what is denied."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidPermissionRequest(f"{where} must be text.")
    text = str(value)
    if len(text) > MAX_NAME:
        raise InvalidPermissionRequest(f"{where} must be text of at most {MAX_NAME} characters.")
    character = unusable(text)
    if character is not None:
        raise InvalidPermissionRequest(f"{where}: a name may not hold {code_point(character)}.")
    return text
