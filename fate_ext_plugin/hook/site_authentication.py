"""``hook_module: {site_authentication: fate_ext_plugin.hook.site_authentication}``: signs, too."""
from fate_ext_plugin.hook import registered
from fate_ext_plugin.host.fate_flow_hooks import register_site_authentication

registered(register_site_authentication)
