"""Grants, how they are found, and how often they were used."""
from peewee import AutoField, BigIntegerField, BooleanField, CharField, IntegerField

from fate_ext_plugin.db.base import AnyTextField, ExtModel


class Grant(ExtModel):
    """Lists are JSON; times in ms since 1970; NULL and empty lists mean no limit."""

    f_name = CharField(max_length=64, primary_key=True)
    f_party = CharField(max_length=20)
    f_role = CharField(max_length=10)
    f_allow = BooleanField()
    f_items = AnyTextField()
    f_valid_from = BigIntegerField(null=True)
    f_valid_until = BigIntegerField(null=True)
    f_weekdays = CharField(max_length=40)
    f_hours = CharField(max_length=11, null=True)
    f_max_uses = IntegerField(null=True)
    f_max_uses_per_day = IntegerField(null=True)
    f_initiators = AnyTextField()
    f_partners = AnyTextField()
    f_note = AnyTextField()
    f_maker = AnyTextField()

    class Meta:
        table_name = "t_ext_grant"
        indexes = ((("f_party", "f_name"), False),)


class GrantKey(ExtModel):
    """One key of a grant's: see :meth:`fate_ext_plugin.permission.item.Item.key`."""

    f_id = AutoField()
    f_key = CharField(max_length=32, index=True)
    f_grant = CharField(max_length=64, index=True)

    class Meta:
        table_name = "t_ext_grant_key"


class GrantUse(ExtModel):
    """How often a grant was used. The order of the columns counts: MySQL sets them one after the other, so what is
    read in setting another must stand behind it."""

    f_grant = CharField(max_length=64, primary_key=True)
    f_total = IntegerField(default=0)
    f_on_day = IntegerField(default=0)
    f_day = CharField(max_length=10, default="")

    class Meta:
        table_name = "t_ext_grant_use"


class GrantJob(ExtModel):
    """A use of a grant: by a job, in a role and as a party of ours, with a hash of what it asked for."""

    f_key = CharField(max_length=32, primary_key=True)
    f_grant = CharField(max_length=64, index=True)
    f_asked = CharField(max_length=32)

    class Meta:
        table_name = "t_ext_grant_job"


class Revision(ExtModel):
    """Grows with each change of what its name says. Whoever changes that changes this first, in the same transaction:
    so changes come one after the other."""

    f_name = CharField(max_length=20, primary_key=True)
    f_value = BigIntegerField()

    class Meta:
        table_name = "t_ext_revision"
