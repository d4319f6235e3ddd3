"""A MariaDB of a test's own, to be killed, frozen and started again."""
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, List, Optional

import pymysql

from tests.support import programs
from tests.support.site import PATIENCE_SECONDS, free_port, wait_until

PASSWORD = "a-test-s-own"
PACKAGE = "mariadb-server"


class MariaDB:
    """In ``folder``; made and started by :meth:`start`. Skips where no MariaDB is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: Optional[subprocess.Popen] = None
        self._options = ["--no-defaults", f"--datadir={folder / 'data'}"]
        if os.getuid() == 0:
            self._options.append("--user=root")
        os.environ["FATE_EXT_TEST_OWN_PASSWORD"] = PASSWORD
        #: the section ``database``
        self.section = {"url": f"mysql://own@127.0.0.1:{self.port}/own", "password_env": "FATE_EXT_TEST_OWN_PASSWORD"}

    def start(self) -> "MariaDB":
        # The socket's name is one in its data's folder: a whole path may be longer than sockets' names can be.
        if not (self.folder / "data").exists():
            self._install()
        with open(self.folder / "log", "ab") as log:
            self.process = programs.start([
                programs.find("mariadbd", PACKAGE), *self._options, f"--init-file={self.folder / 'init.sql'}",
                "--bind-address=127.0.0.1", f"--port={self.port}", "--socket=socket",
                f"--pid-file={self.folder / 'pid'}", "--skip-name-resolve", "--character-set-server=utf8mb4",
                "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
            ], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, what=f"MariaDB to start; its log: {self.folder / 'log'}")
        return self

    def _install(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "init.sql").write_text(
            "CREATE DATABASE IF NOT EXISTS own;\n"
            f"CREATE USER IF NOT EXISTS own@127.0.0.1 IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON own.* TO own@127.0.0.1;\n")
        done = subprocess.run([programs.find("mariadb-install-db", PACKAGE), *self._options, "--skip-test-db"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == 0, done.stdout

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, (self.folder / "log").read_text("utf-8")
        try:
            self.execute("SELECT 1")
        except pymysql.MySQLError:
            return False
        return True

    def execute(self, *statements: str) -> List[Any]:
        """The rows of the last one."""
        with pymysql.connect(host="127.0.0.1", port=self.port, user="own", password=PASSWORD, database="own",
                             autocommit=True).cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            self.thaw()
            self.process.send_signal(number)
            self.process.wait(PATIENCE_SECONDS)
