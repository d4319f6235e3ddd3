"""marshmallow schemas of requests and answers; those of settings are in settings/schema.py and beside the sources."""
