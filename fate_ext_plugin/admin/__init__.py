"""The room of administration: each thing an operator can do, once, for the REST interface, the console and commands."""

ADMIN_PREFIX = "/v1/ext/admin"
