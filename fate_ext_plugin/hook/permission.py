"""``hook_module: {permission: fate_ext_plugin.hook.permission}``"""
from fate_ext_plugin.hook import registered
from fate_ext_plugin.host.fate_flow_hooks import register_permission

registered(register_permission)
