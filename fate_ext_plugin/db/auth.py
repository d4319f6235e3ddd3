"""Clients, keys of sites, what is agreed with a site, used nonces and failed attempts."""
from peewee import BigIntegerField, BooleanField, CharField, IntegerField, TextField

from fate_ext_plugin.db.base import AnyTextField, ExtModel


class Client(ExtModel):
    """Lists are JSON; secrets are sealed by :mod:`fate_ext_plugin.auth.secret_box`; times in ms since 1970."""

    f_app_key = CharField(max_length=64, primary_key=True)
    f_name = AnyTextField()
    f_algorithm = CharField(max_length=16)
    f_secret = TextField()
    f_previous_secret = TextField(null=True)
    f_previous_until = BigIntegerField(null=True)
    f_enabled = BooleanField(default=True)
    f_expires = BigIntegerField(null=True)
    f_paths = AnyTextField()
    f_methods = AnyTextField()
    f_networks = AnyTextField()
    f_role = CharField(max_length=10, null=True)

    class Meta:
        table_name = "t_ext_client"


class SiteKey(ExtModel):
    """``f_key`` is PEM; a private one is sealed. ``f_id`` is kind, party and fingerprint."""

    f_id = CharField(max_length=128, primary_key=True)
    f_party_id = CharField(max_length=20, index=True)
    f_kind = CharField(max_length=10)
    f_fingerprint = CharField(max_length=64)
    f_key = TextField()
    f_valid_from = BigIntegerField(null=True)
    f_valid_until = BigIntegerField(null=True)

    class Meta:
        table_name = "t_ext_site_key"


class SitePolicy(ExtModel):
    """What a partner's signatures must be like."""

    f_party_id = CharField(max_length=20, primary_key=True)
    f_envelope = CharField(max_length=10)
    f_md5 = BooleanField(default=False)
    f_envelope_seen = BigIntegerField(null=True)

    class Meta:
        table_name = "t_ext_site_policy"


class Failure(ExtModel):
    """Failed attempts in a row; ``f_key`` hashes what they are counted under."""

    f_key = CharField(max_length=32, primary_key=True)
    f_count = IntegerField(default=0)

    class Meta:
        table_name = "t_ext_failure"


class Nonce(ExtModel):
    f_key = CharField(max_length=64, primary_key=True)
    f_uses = IntegerField()
    f_used_for = CharField(max_length=64)
    f_until = BigIntegerField(index=True)

    class Meta:
        table_name = "t_ext_nonce"
