"""The table of grants, for any number of servers. A check reads only the few rows that may concern it, and keeps them
until somebody changes the table: so a million grants take no more memory than the requests of these days need."""
import getpass
import json
from collections import defaultdict
from functools import lru_cache
from typing import (
    Any,
    Callable,
    Dict,
    Hashable,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Set,
    Tuple,
)

from fate_ext_plugin.db import permission as tables
from fate_ext_plugin.db.base import Store, create_once, dicts, stamped
from fate_ext_plugin.errors import GrantTaken, UnknownGrant
from fate_ext_plugin.permission.calendar import parse_hours
from fate_ext_plugin.permission.grant import Grant
from fate_ext_plugin.permission.item import STAR, Item
from fate_ext_plugin.util.refreshing_cache import RefreshingCache

# A grant that another server stored counts here so soon.
REFRESH_SECONDS = 1.0
# Answers kept in memory; each is the few grants that may cover one item for one party.
MAX_ANSWERS = 20_000
# SQLite takes 999 values in a statement.
KEYS_AT_ONCE, ROWS_AT_ONCE = 500, 999 // len(tables.Grant._meta.sorted_fields)
GRANTS = "grants"
# The columns of a grant's own terms.
TERMS = [field for field in tables.Grant._meta.sorted_fields if not field.name.startswith(("f_create", "f_update"))]

Found = Dict[Item, Tuple[Grant, ...]]


class Source(Protocol):
    """Where a check finds grants."""

    def find(self, party: str, items: Sequence[Item]) -> Found:
        """For each item all grants that cover it for ``party``, whatever their terms."""


class ListedGrants:
    """Grants in memory, for a look at some that are not stored yet."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._by_key: Dict[str, List[Grant]] = defaultdict(list)
        for grant in grants:
            for key in _keys_of(grant):
                self._by_key[key].append(grant)

    def find(self, party: str, items: Sequence[Item]) -> Found:
        return {item: _covering(item, [
            grant for key in _lookup_keys(party, item) for grant in self._by_key.get(key, ())]) for item in items}


class _Answers:
    """What was found while the table stood at one revision."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.found: Dict[Tuple[str, Item], Tuple[Grant, ...]] = {}

    def keep(self, party: str, found: Found) -> None:
        if len(self.found) + len(found) > MAX_ANSWERS:
            self.found = {}
        self.found.update({(party, item): grants for item, grants in found.items()})


class Grants:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers: RefreshingCache[_Answers] = RefreshingCache(self._look, refresh=REFRESH_SECONDS)

    # -- finding -------------------------------------------------------------------------------------------------------

    def find(self, party: str, items: Sequence[Item]) -> Found:
        """As :meth:`Source.find`, at most :data:`REFRESH_SECONDS` old.

        :raises DatabaseUnavailable: nothing old is answered then.
        """
        answers = self._answers.get()
        known = {item: answers.found.get((party, item)) for item in items}
        missing = [item for item, grants in known.items() if grants is None]
        if missing:
            new = self._find_rows(party, missing)
            answers.keep(party, new)
            known.update(new)
        return known  # type: ignore[return-value]

    def _look(self, before: Optional[_Answers]) -> _Answers:
        revision = self._store.call(_revision)
        return before if before and before.revision == revision else _Answers(revision)

    def _find_rows(self, party: str, items: Sequence[Item]) -> Found:
        keys = {item: _lookup_keys(party, item) for item in items}
        by_key = self._store.call(lambda: _grants_by_key(sorted({key for found in keys.values() for key in found})))
        return {item: _covering(item, [grant for key in keys[item] for grant in by_key.get(key, ())])
                for item in items}

    # -- the whole table -----------------------------------------------------------------------------------------------

    def all(self) -> List[Grant]:
        """Every grant, by name."""
        return [grant_of(row) for row in self.rows()]

    def rows(
        self, party: Optional[str] = None, limit: Optional[int] = None, offset: int = 0
    ) -> List[Dict[str, Any]]:
        """The table's rows by name, with who made them and when; all, or those that may concern ``party``."""
        by_name = tables.Grant.f_name
        if limit is None:
            query = _concerning(party, tables.Grant.select()).order_by(by_name)
            return self._store.call(lambda: dicts(query))
        # Their names first, which an index has; a later page's rows would be read with all those before them.
        page = _concerning(party, tables.Grant.select(by_name)).order_by(by_name).limit(limit).offset(offset)
        names = self._store.call(lambda: [row.f_name for row in page])
        rows = [row for some in _some(names, KEYS_AT_ONCE)
                for row in self._store.call(lambda some=some: dicts(  # type: ignore[misc]
                    tables.Grant.select().where(by_name.in_(some))))]
        return sorted(rows, key=lambda row: names.index(row["f_name"]))

    def count(self, party: Optional[str] = None) -> int:
        """How many :meth:`rows` has."""
        return self._store.call(_concerning(party, tables.Grant.select(tables.Grant.f_name)).count)

    def row(self, name: str) -> Dict[str, Any]:
        """:raises UnknownGrant: there is none."""
        # MySQL refuses to compare our column with characters that it does not know.
        rows = self._store.call(
            lambda: dicts(tables.Grant.select().where(tables.Grant.f_name == name))) if name.isascii() else []
        if not rows:
            raise _unknown(name)
        return rows[0]

    # -- changes -------------------------------------------------------------------------------------------------------

    def add(self, grant: Grant, maker: Optional[str] = None) -> None:
        """:raises GrantTaken: there is one of that name."""
        def add() -> None:
            if tables.Grant.select().where(tables.Grant.f_name == grant.name).exists():
                raise GrantTaken(f"There is a grant {grant.name} already; `fate-ext grant show` shows it.")
            _insert([grant], maker or user())

        self._change(add)

    def change(self, grant: Grant, maker: str) -> None:
        """In place of the one of its name, whose uses stay counted.

        :raises UnknownGrant: there is none."""
        def change() -> None:
            if not _delete([grant.name], uses=False):
                raise _unknown(grant.name)
            _insert([grant], maker)

        self._change(change)

    def remove(self, name: str) -> None:
        """:raises UnknownGrant: there is none."""
        def remove() -> None:
            if not _delete([name], uses=True):
                raise _unknown(name)

        self.row(name)  # no new revision for nothing
        self._change(remove)

    def replace(
        self, put: Sequence[Grant], remove: Sequence[str], maker: Optional[str] = None,
        progress: Callable[[int], object] = lambda count: None,
    ) -> None:
        """Put grants in, in place of those of the same names, whose uses stay counted; take some out. All or none.

        :param progress: is told of so many more that are put in.
        """
        def replace() -> None:
            _delete(remove, uses=True)
            _delete([grant.name for grant in put], uses=False)
            _insert(put, maker or user(), progress)

        self._change(replace)

    def _change(self, change: Any) -> None:
        def in_turn() -> None:
            with self._store.database.atomic():
                _grow_revision()
                change()

        self._store.call(lambda: create_once(tables.Revision, f_name=GRANTS, f_value=0))
        self._store.call(in_turn)
        self._answers.forget()


def _unknown(name: str) -> UnknownGrant:
    return UnknownGrant(f"There is no grant {name[:64]!r}; `fate-ext grant list` shows all.")


def user() -> str:
    """Who runs this program."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user in this container
        return "unknown"


def _keys_of(grant: Grant) -> Set[str]:
    return {item.key(grant.party) for item in grant.items}


def _lookup_keys(party: str, item: Item) -> List[str]:
    return [*item.keys(party), *item.keys(STAR)]


def _covering(item: Item, candidates: Iterable[Grant]) -> Tuple[Grant, ...]:
    """Each once, by name: the same request is always answered for the same reason."""
    found = {grant.name: grant for grant in candidates if grant.covers(item)}
    return tuple(found[name] for name in sorted(found))


def _revision() -> int:
    row = tables.Revision.select().where(tables.Revision.f_name == GRANTS).first()
    return int(row.f_value) if row else 0


def _grow_revision() -> None:
    row = tables.Revision
    row.change(f_value=row.f_value + 1).where(row.f_name == GRANTS).execute()


def _grants_by_key(keys: Sequence[str]) -> Dict[str, List[Grant]]:
    by_key: Dict[str, List[Grant]] = defaultdict(list)
    grants: Dict[str, Grant] = {}
    database = tables.Grant._meta.database
    for some in _some(keys, KEYS_AT_ONCE):
        for key, *values in database.execute_sql(_finding(type(database).__name__, len(some)), list(some)).fetchall():
            row = {field.name: field.python_value(value) for field, value in zip(TERMS, values)}
            name = row["f_name"]
            if name not in grants:
                grants[name] = grant_of(row)
            by_key[key].append(grants[name])
    return by_key


@lru_cache(maxsize=KEYS_AT_ONCE)
def _finding(dialect: Hashable, count: int) -> str:
    """SQL that asks for so many keys. Kept, for peewee takes longer to write it than a database to answer it.

    :param dialect: the name of the database's class.
    """
    query = (tables.Grant.select(tables.GrantKey.f_key, *TERMS)
             .join(tables.GrantKey, on=tables.GrantKey.f_grant == tables.Grant.f_name)
             .where(tables.GrantKey.f_key.in_([""] * count)))
    return str(query.sql()[0])


def _delete(names: Sequence[str], uses: bool) -> int:
    deleted = 0
    for some in _some(names, KEYS_AT_ONCE):
        tables.GrantKey.delete().where(tables.GrantKey.f_grant.in_(some)).execute()
        if uses:
            for counted in (tables.GrantUse, tables.GrantJob):
                counted.delete().where(counted.f_grant.in_(some)).execute()
        deleted += tables.Grant.delete().where(tables.Grant.f_name.in_(some)).execute()
    return deleted


def _concerning(party: Optional[str], query: Any) -> Any:
    return query if party is None else query.where(tables.Grant.f_party.in_([party, STAR]))


def _insert(grants: Sequence[Grant], maker: str, progress: Callable[[int], object] = lambda count: None) -> None:
    made = _created({})
    for some in _some(grants, ROWS_AT_ONCE):
        tables.Grant.insert_many([{**_row(grant), "f_maker": maker, **made} for grant in some]).execute()
        keys = [{"f_key": key, "f_grant": grant.name, **made} for grant in some for key in sorted(_keys_of(grant))]
        for some_keys in _some(keys, ROWS_AT_ONCE):
            tables.GrantKey.insert_many(some_keys).execute()
        progress(len(some))


def _created(values: Dict[str, Any]) -> Dict[str, Any]:
    changed = stamped(values)
    return {**changed, "f_create_time": changed["f_update_time"], "f_create_date": changed["f_update_date"]}


def _some(values: Sequence[Any], count: int) -> Iterator[Sequence[Any]]:
    return (values[start:start + count] for start in range(0, len(values), count))


def _row(grant: Grant) -> Dict[str, Any]:
    return {
        "f_name": grant.name, "f_party": grant.party, "f_role": grant.role, "f_allow": grant.allow,
        "f_items": json.dumps([[item.kind, *item.parts] for item in grant.items]),
        "f_valid_from": grant.valid_from, "f_valid_until": grant.valid_until,
        "f_weekdays": " ".join(grant.weekdays), "f_hours": str(grant.hours) if grant.hours else None,
        "f_max_uses": grant.max_uses, "f_max_uses_per_day": grant.max_uses_per_day,
        "f_initiators": json.dumps(grant.initiators), "f_partners": json.dumps(grant.partners),
        "f_note": grant.note,
    }


def grant_of(row: Mapping[str, Any]) -> Grant:
    """Of a row of the table."""
    return Grant(
        name=row["f_name"], party=row["f_party"], role=row["f_role"], allow=bool(row["f_allow"]),
        items=tuple(Item(kind, tuple(parts)) for kind, *parts in json.loads(row["f_items"])),
        valid_from=row["f_valid_from"], valid_until=row["f_valid_until"],
        weekdays=tuple(row["f_weekdays"].split()), hours=parse_hours(row["f_hours"]) if row["f_hours"] else None,
        max_uses=row["f_max_uses"], max_uses_per_day=row["f_max_uses_per_day"],
        initiators=tuple(json.loads(row["f_initiators"])), partners=tuple(json.loads(row["f_partners"])),
        note=row["f_note"])
