"""Why a command can't be carried out, beside what its operation says. No caller of the services sees these."""
from fate_ext_plugin.errors import ExtError


class CommandFailed(ExtError):
    """Nothing is wrong with the settings: a file can't be read or written, FATE Flow refuses, or somebody said no."""


class WrongOption(CommandFailed):
    """What the command was told can't be used; the message names the option."""
