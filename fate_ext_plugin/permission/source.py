"""What FATE Flow will read for a job, or write: tables, outputs of other jobs, and models.

Read from what its components are really handed over, and refused where that does not say it: FATE Flow may fill it in
later, from where nobody looks. Checked against FATE Flow 1.9 to 1.11 (fate_flow/components, controller/job_controller).
"""
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from fate_ext_plugin.errors import InvalidPermissionRequest
from fate_ext_plugin.permission.item import Item, dataset

TABLE, OUTPUT, MODEL = ("namespace", "name"), ("job_id", "component_name"), ("model_id", "model_version")
# What names something, wherever it stands among a component's parameters. A writer names its target, too.
NAMES = (TABLE, OUTPUT, MODEL, ("output_namespace", "output_name"))
# Names that FATE Flow makes parts of paths of.
_plain_name = re.compile(r"[\w-]{1,100}")
# Where a task's input comes from a component of this name, FATE Flow reads a table that another party's Reader names.
ARGUMENTS = "args"

#: Turns a name into text, or refuses it; takes the name, and where it stands.
AsText = Callable[[Any, str], str]


class Reader(NamedTuple):
    """A component that reads, or writes, what its parameters name.

    ``roles``: those that FATE Flow runs it for; any other gets no parameters, and reads nothing.
    ``names``: what its parameters must name, one of these.
    ``each``: each single parameter must, as FATE Flow reads the first one, whatever it is called.
    """

    roles: Tuple[str, ...]
    names: Tuple[Tuple[str, str], ...]
    each: bool = False


READERS: Dict[str, Reader] = {
    "reader": Reader(("guest", "host"), (TABLE, OUTPUT), each=True),
    "download": Reader(("local",), (TABLE,)),
    "writer": Reader(("guest", "host", "local"), (TABLE,)),
    "modelloader": Reader(("guest", "host", "arbiter"), (MODEL,)),
    "cacheloader": Reader(("guest", "host"), (OUTPUT,)),
}


def read_by_components(
    parameters: Optional[Mapping[str, Any]], modules: Sequence[str], role: str, text: AsText
) -> List[Item]:
    """What the components of a job read, as its parameters name it.

    :param parameters: by module, a list with an object for each component of it.
    :param modules: the job's components, as often as they stand in it.
    :param role: this site's in the job; '' where it is not known, which may be any.
    :raises InvalidPermissionRequest: a component does not say what it reads.
    """
    parameters = {} if parameters is None else parameters
    found: List[Item] = []
    for module, reader in READERS.items():
        where = f"component_parameters.{module}"
        instances = _objects(parameters.get(module), where)
        reads = role in reader.roles or not role
        if reads and len(instances) < modules.count(module):
            raise _says_nothing(where)
        for instance in instances:
            # FATE Flow hands over an empty object to a role that it does not run the component for.
            if instance or reads:
                _require_named(reader, instance, where)
            found += _named_anywhere(instance, where, text)
    return found


def reads_something(modules: Sequence[str], role: str) -> bool:
    """Whether any of the components reads what its parameters name, in this role."""
    return any(module in READERS and (role in READERS[module].roles or not role) for module in modules)


def inherited(info: Any, text: AsText) -> Iterator[Item]:
    """The outputs that FATE Flow copies from another job: of each component, as <job ID>/<component>.

    :param info: a job's ``inheritance_info``.
    """
    if not info:
        return
    where = "inheritance_info"
    listed = info.get("component_list") if isinstance(info, Mapping) else None
    if not isinstance(info, Mapping) or not isinstance(listed, list):
        raise InvalidPermissionRequest(f"{where} must be an object with job_id and component_list, a list.")
    job = _plain(info.get("job_id"), where, text)
    for name in listed:
        yield dataset(job, _plain(name, where, text))


def model_read(conf: Any, train_conf: Any, job: Optional[str], party: str, text: AsText) -> Iterator[Item]:
    """The model that a job reads, unless the job makes it or the party that asks took part in making it. A model's ID
    names the parties that made it: guest-9999#host-10000_10001#model.

    :param conf: the job's configuration.
    :param train_conf: the configuration of the job that made the model, which FATE Flow fills a predict job's up from.
    :param job: FATE's job ID, None where it is not known.
    """
    for where in (conf, train_conf):
        if any(name in placed for placed in _for_roles(where) for name in MODEL):
            raise InvalidPermissionRequest("model_id and model_version may stand in job_parameters.common only.")
    common = common_parameters(conf)
    predicts = common.get("job_type") == "predict"
    used = {**common_parameters(train_conf), **common} if predicts else common
    if not _names(used, MODEL):
        return
    model, version = (text(used[name], "job_parameters.common") for name in MODEL)
    makes_it = not predicts and version == (job or version)
    if not makes_it and party not in _parties_of(model):
        yield dataset(model, version)


def common_parameters(conf: Any) -> Mapping[str, Any]:
    """A configuration's job parameters for all parties; {} where it has none."""
    return _at(conf, "job_parameters", "common")


def require_known_inputs(dsl: Any) -> None:
    """:raises InvalidPermissionRequest: a component has the name that lets FATE Flow read tables without a reader."""
    if ARGUMENTS in _at(dsl, "components"):
        raise InvalidPermissionRequest(f"dsl: no component may be called {ARGUMENTS}.")


def _require_named(reader: Reader, instance: Mapping[str, Any], where: str) -> None:
    parameters = {name: value for name, value in instance.items() if not name.startswith("_")}
    named = parameters.values() if reader.each else [parameters]
    # A cache is read by its key alone, where it has one, whatever else is named.
    if not named or instance.get("cache_key") is not None or not all(
            isinstance(value, Mapping) and any(_names(value, pair) for pair in reader.names) for value in named):
        raise _says_nothing(where)


def _named_anywhere(value: Any, where: str, text: AsText) -> Iterator[Item]:
    """At any depth, for FATE Flow is not the only one that reads parameters."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            for pair in NAMES:
                if _names(value, pair):
                    yield dataset(*(text(value[name], where) for name in pair))
            waiting += reversed(list(value.values()))
        elif isinstance(value, (list, tuple)):
            waiting += reversed(value)


def _names(value: Mapping[str, Any], pair: Tuple[str, str]) -> bool:
    return all(value.get(name) not in (None, "") for name in pair)


def _says_nothing(where: str) -> InvalidPermissionRequest:
    return InvalidPermissionRequest(f"{where}: it does not say what it reads.")


def _objects(value: Any, where: str) -> Sequence[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise InvalidPermissionRequest(f"{where} must be a list.")
    if not all(isinstance(one, Mapping) for one in value):
        raise InvalidPermissionRequest(f"{where} must hold objects.")
    return value


def _plain(value: Any, where: str, text: AsText) -> str:
    name = text(value, where)
    if not _plain_name.fullmatch(name):
        raise InvalidPermissionRequest(f"{where}: a job ID or component is made of letters, digits, _ and -.")
    return name


def _at(value: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _for_roles(conf: Any) -> Iterator[Mapping[str, Any]]:
    """Where FATE Flow takes job parameters of one party from: 1.9 and 1.10 from the one, 1.11 from the other."""
    for section in ("job_parameters", "component_parameters"):
        for role in _at(conf, section, "role").values():
            if isinstance(role, Mapping):
                yield from (placed for placed in role.values() if isinstance(placed, Mapping))


def _parties_of(model: str) -> List[str]:
    return [party for part in model.split("#") for party in part.partition("-")[2].split("_")]
