"""The servers that share this database, and the secret that they share."""
from peewee import BigIntegerField, CharField, TextField

from fate_ext_plugin.db.base import ExtModel


class Server(ExtModel):
    """``f_beat`` grows while it lives, ``f_files`` names the folder where its jobs' files are, ``f_settings`` is JSON:
    a fingerprint of each setting that should be the same everywhere."""

    f_instance = CharField(max_length=64, primary_key=True)
    f_address = CharField(max_length=300)
    f_version = CharField(max_length=40)
    f_files = CharField(max_length=64)
    f_settings = TextField()
    f_beat = BigIntegerField(default=0)

    class Meta:
        table_name = "t_ext_server"


class Secret(ExtModel):
    """``f_value`` is hexadecimal."""

    f_name = CharField(max_length=20, primary_key=True)
    f_value = CharField(max_length=64)

    class Meta:
        table_name = "t_ext_secret"
