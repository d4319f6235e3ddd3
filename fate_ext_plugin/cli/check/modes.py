"""Whether other users of this machine can read or change what the server keeps."""
from pathlib import Path

from fate_ext_plugin.cli.check.findings import Findings
from fate_ext_plugin.db.place import files_of
from fate_ext_plugin.feature.storage import STRANGERS
from fate_ext_plugin.settings.load import fate_base
from fate_ext_plugin.settings.model import Settings
from fate_ext_plugin.util.secret_file import OTHERS, mode_of


def modes(settings: Settings, conf: Path) -> str:
    """Of data_dir, of shared_dir, which a group may share, and of the database where it is a file."""
    from fate_ext_plugin.cli.database import find_host

    found, looked_at = Findings(), []
    for name, folder, others, hint in (("data_dir", settings.data_dir, OTHERS, ", or restart the server, which does"),
                                       ("shared_dir", settings.shared_dir, STRANGERS, "")):
        if folder and folder.exists():
            looked_at.append(name)
            mode = mode_of(folder)
            if mode & others:
                found.problems.append(f"{name} {folder} is open to other users of this machine (mode {mode:04o}); "
                                      f"chmod it to {mode & ~others:04o}{hint}.")
    told = found.doubts if fate_base(conf) else found.problems  # the mode of FATE Flow's own is FATE Flow's matter
    for file in files_of(find_host(conf).store.database):
        if mode_of(file) & OTHERS and mode_of(file.parent) & OTHERS:
            told.append(f"{file} is open to other users of this machine, and holds the secret of the tokens; chmod it "
                        f"to {mode_of(file) & ~OTHERS:04o}.")
    return found.told(", ".join(looked_at) or "data_dir is made for its owner alone")
