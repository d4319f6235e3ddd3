"""``fate-ext``: the command line."""
import sys
from typing import List, Optional


def main(arguments: Optional[List[str]] = None) -> None:
    from fate_ext_plugin.cli.commands import cli
    from fate_ext_plugin.errors import ExtError

    try:
        cli.main(args=arguments, prog_name="fate-ext")
    except ExtError as error:
        sys.exit(f"fate-ext: {error.message}")
