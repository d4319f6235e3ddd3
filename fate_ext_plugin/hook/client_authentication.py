"""``hook_module: {client_authentication: fate_ext_plugin.hook.client_authentication}``"""
from fate_ext_plugin.hook import registered
from fate_ext_plugin.host.fate_flow_hooks import register_client_authentication

registered(register_client_authentication)
