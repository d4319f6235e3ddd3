"""``fate-ext serve``: the services on cheroot, a production WSGI server, without FATE Flow."""
import logging
import os
import select
import signal
import threading
from typing import Any, List

from fate_ext_plugin.apps import TIMEOUT_SECONDS, create_app
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.fence import RedactTokens
from fate_ext_plugin.host.standalone import Standalone
from fate_ext_plugin.plugin import Plugin
from fate_ext_plugin.serving import connections
from fate_ext_plugin.settings import Settings

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
    """Serve until SIGTERM or SIGINT; a second one ends the process at once. Jobs that run then wait for the next start.

    :raises ExtError: settings, folder, database or port can't be used.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactTokens())
    stop = _stop_at_signals()
    plugin = Plugin(settings, Standalone(settings))
    server = make_server(settings, create_app(plugin.manager()))
    listen = settings.listen
    try:
        try:
            server.prepare()
        except OSError as error:
            raise InvalidSettings(f"listen: {listen.host}:{listen.port} can't be used: {error}") from None
        plugin.start()
        logger.info("serving on http://%s:%s, data in %s", listen.host, listen.port, settings.data_dir)
        failures: List[BaseException] = []
        threading.Thread(target=_serve, args=(server, stop, failures), daemon=True).start()
        stop.wait()
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


def _stop_at_signals() -> threading.Event:
    """Set at the first signal. A second one ends the process, and so does what has not ended in time."""
    # A signal only says so: an exception out of its handler could leave cheroot waiting for itself for ever.
    # Any thread may be the one the kernel interrupts, and Python's handler would wait until this one wakes up.
    signals, written = os.pipe()
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    stop = threading.Event()
    threading.Thread(target=_obey, args=(signals, stop), name="fate-ext-signals", daemon=True).start()
    return stop


def _obey(signals: int, stop: threading.Event) -> None:
    os.read(signals, 1)
    stop.set()
    again, _, _ = select.select([signals], [], [], END_SECONDS)
    if again:
        os._exit(128 + os.read(signals, 1)[0])  # as a shell reports a signal
    logger.error("ended without waiting any longer")
    os._exit(1)


def _serve(server: Server, stop: threading.Event, failures: List[BaseException]) -> None:
    try:
        server.serve()
    except BaseException as error:
        failures.append(error)
    finally:
        stop.set()
