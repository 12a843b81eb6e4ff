"""Tests the variables of a folder: secrets in the wrong one, line ends, malformed addresses, unencrypted connections.

The variables are those of the server's environment and those that the README has under "Configuration".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.contract.subject import Case, Observation
from tests.script_process import Run
from tests.warehouses.harness import SECRET_MARK

VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
# Not a host name, number, word of a list, path of a file or URL: it is refused, or it is part of the sign-in.
TEXT = f"{SECRET_MARK}in the/wrong:place@"
# The first is not masked by its form: only a message without the value does not show it.
SECRETS = (TEXT, f"-----BEGIN PRIVATE KEY-----\n{TEXT}\n-----END PRIVATE KEY-----")
ELSEWHERE = "192.0.2.1"  # https://www.rfc-editor.org/rfc/rfc5737: no machine has it
THIS_MACHINE = "0.0.0.0"  # noqa: S104 - as a target it is this machine, and no loopback address
MALFORMED_HOSTS = (  # more of them: tests/mcpush/test_environment.py
    "https://db.example.org/",
    "db.example.org:5439/dev",
    "jdbc:db://db.example.org:5439/dev",
    "someone:word@db.example.org",
    " ",
)


@pytest.mark.one_flow
def test_a_secret_in_the_wrong_variable_is_not_printed(case: Case) -> None:
    variables = _variables(case)
    assert len(variables) > 3
    problems = {(name, secret): _problem(case, name, secret) for name in variables for secret in SECRETS}
    assert {case: problem for case, problem in problems.items() if problem} == {}


def _variables(case: Case) -> list[str]:
    """The variables of the warehouse that the README configures, and those with which the server is reached."""
    used = list(case.server.environment())
    readme = (case.subject.template / "README.md").read_text(encoding="utf-8")
    section = re.split(r"(?m)^## ", readme.partition("\n## Configuration\n")[2])[0]
    prefixes = tuple({f"{name.partition('_')[0]}_" for name in used} | {"AWS_"})
    return sorted({*used, *(name for name in VARIABLE.findall(section) if name.startswith(prefixes))})


def _problem(case: Case, variable: str, secret: str) -> str:
    run = case.run("collect", "--list", env=case.server.environment() | {variable: secret})
    output = run.stdout + run.stderr
    if run.exit_code not in (0, 2, 3, 4) or "Traceback" in output:
        return f"exit {run.exit_code}: {output}"
    return output if any(line.lower() in output.lower() for line in secret.splitlines()) else ""


@pytest.mark.one_flow
def test_line_ends_of_variables_are_ignored(case: Case, full: Observation) -> None:
    right = case.server.environment()
    assert any(value.endswith("\t") for value in right.values()), "no password ends in TRAILING"
    for end in ("\n", "\r\n", "\n\n"):
        observation = case.observe(env={name: value + end for name, value in right.items()})
        observation.run.check()
        assert len(observation.records) == len(full.records)
        case.manifest.unlink()


@pytest.mark.one_flow
def test_a_malformed_host_is_refused_by_the_name_of_its_variable(case: Case) -> None:
    assert {host: problem for host in MALFORMED_HOSTS for problem in _problems_of_host(case, host)} == {}


def _problems_of_host(case: Case, host: str) -> Iterator[str]:
    environment = case.server.at(host)
    (variable,) = (name for name, value in environment.items() if value == host)
    run = case.run("collect", "--allow-plaintext", env=environment)  # otherwise refused because it is another machine
    if not _refused(run, variable):
        yield f"exit {run.exit_code}: {run.stderr}"
    elif host.strip() and host in run.stdout + run.stderr:
        yield f"repeated: {run.stderr}"


def _refused(run: Run, name: str) -> bool:
    error = run.summary.get("error", {})
    return run.exit_code == 2 and name in error["message"] + error["remedy"] and "Traceback" not in run.stderr


@pytest.mark.one_flow
def test_unencrypted_connections_to_other_machines_are_refused(case: Case, full: Observation) -> None:
    for host in (ELSEWHERE, THIS_MACHINE):
        observation = case.observe(env=case.server.at(host))
        assert _refused(observation.run, "--allow-plaintext"), observation.run.stderr
        assert (observation.leftovers, list(observation.statements)) == ([], [])
    if sys.platform == "win32":
        return  # it has no address of this kind
    observation = case.observe("--allow-plaintext", env=case.server.at(THIS_MACHINE))
    observation.run.check()
    assert len(observation.records) == len(full.records)
