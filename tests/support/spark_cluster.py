"""A standalone Spark cluster: a master and two workers, each a process of its own, on loopback.

It runs pyspark's own Spark, as FATE's environment has it. With CI=true a missing pyspark or Java is a failure.
"""
import os
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, List

import requests

from tests.support import programs
from tests.support.site import PATIENCE_SECONDS, free_port, wait_until

WORKERS = 2
# Java that lives for seconds is not worth its better compiler.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
ENVIRONMENT = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "128m", "SPARK_DAEMON_JAVA_OPTS": JAVA_OPTIONS}


def require_spark() -> None:
    """Skips where there is no Spark to test with."""
    programs.need_package("pyspark", "'pyspark>=3.3,<3.6'", fate_python=True)
    programs.find("java", "openjdk-17-jre-headless")


class SparkCluster:
    """Processes end with :meth:`stop`; each writes ``folder/<name>.log``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: List[subprocess.Popen] = []
        port, self._web_port = free_port(), free_port()
        self.master = f"spark://127.0.0.1:{port}"
        try:
            self._start("master.Master", "--port", str(port), "--webui-port", str(self._web_port))
            wait_until(self._answers, what=f"the master, see {folder}")
            for number in range(WORKERS):
                self._start("worker.Worker", "--cores", "1", "--memory", "1g", "--webui-port", "0",
                            "--work-dir", str(folder / f"work-{number}"), self.master)
            wait_until(lambda: self.state()["aliveworkers"] == WORKERS, what=f"the workers, see {folder}")
        except BaseException:
            self.stop()
            raise

    @property
    def conf(self) -> Dict[str, Any]:
        """Of jobs that share this machine with their cluster."""
        return {
            "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.memory": "512m",
            "spark.executor.memory": "512m", "spark.driver.extraJavaOptions": JAVA_OPTIONS,
            "spark.executor.extraJavaOptions": JAVA_OPTIONS, "spark.sql.shuffle.partitions": 2}

    def state(self) -> Dict[str, Any]:
        """What the master tells of itself."""
        url = f"http://127.0.0.1:{self._web_port}/json/"
        state: Dict[str, Any] = requests.get(url, timeout=PATIENCE_SECONDS).json()
        return state

    def running(self) -> List[Dict[str, Any]]:
        """Applications that have not ended."""
        return list(self.state()["activeapps"])

    def executors(self) -> List[int]:
        """Processes that run tasks for this cluster's workers."""
        found = []
        for path in self._folder.glob("work-*/app-*/*"):
            for process in Path("/proc").glob("[0-9]*/cwd"):
                with suppress(OSError):  # it ended meanwhile
                    if process.resolve() == path.resolve():
                        found.append(int(process.parent.name))
        return found

    def _answers(self) -> bool:
        assert self._processes[0].poll() is None, (self._folder / "Master.log").read_text("utf-8")
        try:
            return self.state()["status"] == "ALIVE"
        except (requests.ConnectionError, ValueError):  # while it starts, its page may not be JSON yet
            return False

    def _start(self, name: str, *arguments: str) -> None:
        spec = find_spec("pyspark")
        assert spec and spec.origin
        command = [str(Path(spec.origin).parent / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}",
                   "--host", "127.0.0.1", *arguments]
        with open(self._folder / f"{name.split('.')[1]}.log", "ab") as log:
            self._processes.append(programs.start(command, stdout=log, stderr=log, env={**os.environ, **ENVIRONMENT}))

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(PATIENCE_SECONDS)
