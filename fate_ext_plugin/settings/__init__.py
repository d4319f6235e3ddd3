"""The section fate_ext_plugin: its dataclasses, its schema, and the way from YAML to them."""
