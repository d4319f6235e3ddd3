"""``fate-ext`` whose server never comes to an end once it is told to stop."""
import threading

from fate_ext_plugin.cli import main
from fate_ext_plugin.plugin import Plugin


def stop(plugin: Plugin) -> None:
    print("stopping for ever", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    Plugin.stop = stop  # type: ignore[method-assign]
    main()
