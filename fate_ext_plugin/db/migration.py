"""Tables are created and changed in numbered steps; ``t_ext_migration`` says which are done."""
import logging
from typing import Callable, List

from peewee import CharField, IntegerField

from fate_ext_plugin.db.base import ExtModel, Store
from fate_ext_plugin.db.feature_job import FeatureJob

logger = logging.getLogger(__name__)


class Migration(ExtModel):
    f_number = IntegerField(primary_key=True)
    f_name = CharField(max_length=64)

    class Meta:
        table_name = "t_ext_migration"


def create_feature_jobs() -> None:
    FeatureJob.create_table(safe=True)


# Append only. Each step may be run again after a crash, or by two servers at once, so it must not mind.
STEPS: List[Callable[[], None]] = [create_feature_jobs]
MODELS = [Migration, FeatureJob]


def migrate(store: Store) -> None:
    """Bind our models to ``store`` and bring its tables up to date."""
    store.bind(MODELS)
    with store.connection():
        Migration.create_table(safe=True)
        done = {row.f_number for row in Migration.select(Migration.f_number)}
        for number, step in enumerate(STEPS, start=1):
            if number in done:
                continue
            step()
            logger.info("database: step %d, %s", number, step.__name__)
            try:
                Migration.create(f_number=number, f_name=step.__name__)
            except Exception:  # APSW's constraint error is none of peewee's
                # Another server may have been first with the very same step.
                if not Migration.select().where(Migration.f_number == number).exists():
                    raise
