"""FATE's own service_conf.yaml."""

#: of the shape of FATE's own: comments in and between sections, empty values, lists, no blank lines
SHIPPED = """\
use_registry: false
private_key: |
  -----BEGIN RSA PRIVATE KEY-----
  c2VjcmV0IGluIGEgYmxvY2s=
  -----END RSA PRIVATE KEY-----
party_id:
hook_module:
  client_authentication: fate_flow.hook.flow.client_authentication
  site_authentication: fate_flow.hook.flow.site_authentication   # of partners
  permission: fate_flow.hook.flow.permission
hook_server_name:
authentication:
  client:
    switch: false
    http_app_key:
    http_secret_key: secret-of-a-client
fateflow:
  # you must set a real address
  host: 127.0.0.1
  http_port: 9380
#  passwd: secret in a comment
model_store: {user: fate, passwd: "secret in braces", port: 3306}
servings:
  hosts:
    - 127.0.0.1:8000
"""
