"""``fate-ext serve``: the services on cheroot, a production WSGI server, without FATE Flow."""
import logging
import threading
from contextlib import suppress
from typing import Any, List

from fate_ext_plugin.access.guard import RedactTokens
from fate_ext_plugin.apps.blueprint import TIMEOUT_SECONDS, create_app
from fate_ext_plugin.db.place import files_of
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.plugin import Plugin
from fate_ext_plugin.serving import connections
from fate_ext_plugin.serving.stop_signals import StopSignals
from fate_ext_plugin.settings.model import Settings
from fate_ext_plugin.util.secret_file import take_from_others

logger = logging.getLogger(__name__)
# Threads beside those that held queries occupy.
WORK_THREADS = 16
# After a signal: until requests that go on are cut off, and until the process ends whatever it waits for. Docker kills
# after 10 s.
REQUESTS_SECONDS, END_SECONDS = 5.0, 9.0


class Server(connections.Server):
    """Logs what goes wrong, without tokens."""

    # Seconds until it sees that it is to stop. Cheroot's own half second is felt at each restart.
    expiration_interval = 0.1

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        logger.log(level, msg, exc_info=traceback)


def make_server(settings: Settings, app: Any) -> Server:
    """Not listening yet."""
    # None: a stop waits for every request; serve() cuts those that go on.
    return Server(
        (settings.listen.host, settings.listen.port), app, numthreads=settings.max_held_queries + WORK_THREADS,
        timeout=TIMEOUT_SECONDS, request_queue_size=128, shutdown_timeout=None)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Jobs that run then wait for the next start. Call in the main thread.

    :raises ExtError: settings, folder, database or port can't be used.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactTokens())
    signals = StopSignals(END_SECONDS)
    host = Standalone(settings)
    plugin = Plugin(settings, host)
    server = make_server(settings, create_app(plugin.manager()))
    listen = settings.listen
    try:
        for file in files_of(host.store.database):
            with suppress(FileNotFoundError):  # SQLite deletes two of them with its last connection
                take_from_others(file)
        try:
            server.prepare()
        except OSError as error:
            raise InvalidSettings(f"listen: {listen.host}:{listen.port} can't be used: {error}") from None
        plugin.start()
        logger.info("serving on http://%s:%s, data in %s", listen.host, listen.port, settings.data_dir)
        failures: List[BaseException] = []
        threading.Thread(target=_serve, args=(server, signals, failures), daemon=True).start()
        signals.wait()
        if failures:
            raise failures[0]
        logger.info("stopping")
    finally:
        cut = threading.Timer(REQUESTS_SECONDS, server.cut)
        cut.daemon = True
        cut.start()
        plugin.stop()
        server.stop()
        cut.cancel()


def _serve(server: Server, signals: StopSignals, failures: List[BaseException]) -> None:
    try:
        server.serve()
    except BaseException as error:
        failures.append(error)
    finally:
        signals.stop()
