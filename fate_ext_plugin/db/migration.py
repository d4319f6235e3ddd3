"""Tables are created and changed in numbered steps; ``t_ext_migration`` says which are done."""
import logging
import random
import time
from typing import Any, Callable, List, Tuple

from peewee import CharField, IntegerField

from fate_ext_plugin.db.auth import Client, Failure, Nonce, SiteKey, SitePolicy
from fate_ext_plugin.db.base import ExtModel, Store, create_once
from fate_ext_plugin.db.feature_job import FeatureJob
from fate_ext_plugin.db.permission import Grant, GrantJob, GrantKey, GrantUse, Revision
from fate_ext_plugin.db.server import Secret, Server
from fate_ext_plugin.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)
# Servers that start at once come into each other's way at one table after the other.
TRIES = 10


class Migration(ExtModel):
    f_number = IntegerField(primary_key=True)
    f_name = CharField(max_length=64)

    class Meta:
        table_name = "t_ext_migration"


def create_feature_jobs() -> None:
    FeatureJob.create_table(safe=True)


def create_authentication() -> None:
    for model in (Client, SiteKey, SitePolicy, Nonce):
        model.create_table(safe=True)


def create_permission() -> None:
    for model in (Grant, GrantKey, GrantUse, GrantJob, Revision):
        model.create_table(safe=True)


def create_servers() -> None:
    for model in (Server, Secret, Failure):
        model.create_table(safe=True)


def add_client_role() -> None:
    """A client that was there before has none."""
    _add_column(Client.f_role, "VARCHAR(10)")


def add_page_indexes() -> None:
    """Tables that are made now have them already."""
    models: Tuple[Any, ...] = (FeatureJob, Grant)
    for model in models:
        database, table = model._meta.database, model._meta.table_name
        # MySQL makes no index only where there is none.
        there = set() if database.safe_create_index else {index.name for index in database.get_indexes(table)}
        for index in model._meta.fields_to_index():
            if index._name not in there:
                database.execute(model._schema._create_index(index))


def add_public_error() -> None:
    """A job that ended before has none."""
    _add_column(FeatureJob.f_public_error, "TEXT")


def _add_column(field: Any, type_name: str) -> None:
    """Tables that are made now have the column already."""
    model = field.model
    database = model._meta.database
    try:
        # Asked by reading it, which each dialect answers, whatever schema the table is in.
        with database.atomic():
            model.select(field).first()
    except Exception:  # each driver calls it differently
        database.execute_sql(f"ALTER TABLE {model._meta.table_name} ADD COLUMN {field.column_name} {type_name}")


# Append only. Each step may be run again after a crash, or by two servers at once, so it must not mind.
STEPS: List[Callable[[], None]] = [
    create_feature_jobs, create_authentication, create_permission, create_servers, add_client_role, add_page_indexes,
    add_public_error]
MODELS = [Migration, FeatureJob, Client, SiteKey, SitePolicy, Nonce, Grant, GrantKey, GrantUse, GrantJob, Revision,
          Server, Secret, Failure]


def migrate(store: Store) -> None:
    """Bind our models to ``store`` and bring its tables up to date.

    :raises DatabaseUnavailable: the database does not answer.
    """
    store.bind(MODELS)
    for left in reversed(range(TRIES)):
        try:
            store.call(_take_steps)
            return
        except DatabaseUnavailable:
            raise
        except Exception as error:  # every driver calls it differently
            if not left:
                raise
            logger.info("database: another server may be changing the tables, too: %s: %s", type(error).__name__, error)
            # Not all at the same moment again.
            time.sleep(random.uniform(0.1, 0.5))


def missing_steps(store: Store) -> List[str]:
    """Names of the steps that the tables have yet to take; none where there are no tables at all."""
    store.bind(MODELS)

    def missing() -> List[str]:
        if not Migration.table_exists():
            return []
        done = {row.f_number for row in Migration.select(Migration.f_number)}
        return [step.__name__ for number, step in enumerate(STEPS, start=1) if number not in done]
    return store.call(missing)


def _take_steps() -> None:
    Migration.create_table(safe=True)
    done = {row.f_number for row in Migration.select(Migration.f_number)}
    for number, step in enumerate(STEPS, start=1):
        if number in done:
            continue
        step()
        logger.info("database: step %d, %s", number, step.__name__)
        create_once(Migration, f_number=number, f_name=step.__name__)
