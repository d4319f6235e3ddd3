"""A server as FATE Flow's own: Werkzeug's, a thread a request, with the plugin's blueprint mounted beside the host's
own endpoint /v1/version/get. It takes the arguments of ``fate-ext serve``."""
import sys
from pathlib import Path

from flask import Flask
from werkzeug.serving import run_simple

from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.plugin import Plugin
from fate_ext_plugin.settings.load import read_settings_file
from tests.support.impatient import change_constants


def main() -> None:
    change_constants()
    settings = read_settings_file(Path(sys.argv[sys.argv.index("--conf") + 1]))
    plugin = Plugin(settings, Standalone(settings))
    app = Flask("host")
    app.add_url_rule("/v1/version/get", "version", lambda: {"retcode": 0}, methods=["POST"])
    app.register_blueprint(plugin.manager())
    plugin.start()
    run_simple(settings.listen.host, settings.listen.port, app, threaded=True)


if __name__ == "__main__":
    main()
