"""The console: pages for people at /v1/ext/console, made of the operations in :mod:`fate_ext_plugin.admin`."""
