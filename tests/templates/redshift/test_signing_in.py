"""Tests sign-in through the real driver and SDK: TLS with a verified name, IAM, Serverless, Secrets Manager."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.certificates import certificate_for
from tests.script_process import Run, run_script
from tests.templates.redshift.aws import Aws
from tests.warehouses.redshift import shop as shop_module
from tests.warehouses.redshift.launch import RedshiftServer
from tests.warehouses.redshift.shop import ADMIN

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="the local server speaks TLS from Python 3.11 on")

HOST = "localhost"
SHORT = ("--include", "analytics.*")


@dataclass
class Secured:
    """A server with TLS, the templates, and the CA file for its certificate."""

    server: RedshiftServer
    folder: Path
    trusted: Path
    work: Path

    def collect(self, *arguments: str, **variables: str) -> Run:
        command = ("--manifest", str(self.work / "metadata.jsonl"), *SHORT, *arguments)
        env = {"SSL_CERT_FILE": str(self.trusted), **variables}
        return run_script(self.folder, "collect_metadata.py", *command, env=env)

    def aws(self, refuses: bool = False, closed: str = "") -> Aws:
        return Aws(ADMIN.name, ADMIN.password, HOST, self.server.port, refuses, closed)

    @property
    def by_password(self) -> dict[str, str]:
        place = {"REDSHIFT_HOST": HOST, "REDSHIFT_PORT": str(self.server.port)}
        return place | {"REDSHIFT_USER": ADMIN.name, "REDSHIFT_PASSWORD": ADMIN.password}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedshiftServer, Path]]:
    pem = certificate_for(HOST)
    trusted = tmp_path_factory.mktemp("certificates") / "trusted.pem"
    trusted.write_text(pem, encoding="utf-8")
    with RedshiftServer(tls=pem) as server:
        server.load(shop_module.shop(datetime.now(timezone.utc)).load())
        yield server, trusted


@pytest.fixture
def secured(served: tuple[RedshiftServer, Path], template_folder: Path, tmp_path: Path) -> Secured:
    return Secured(served[0], template_folder, served[1], tmp_path)


def test_tls_is_on_and_the_name_is_verified(secured: Secured) -> None:
    run = secured.collect(**secured.by_password).check()
    assert run.summary["records"] == 4


def test_an_untrusted_certificate_is_refused(secured: Secured, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(certificate_for(HOST), encoding="utf-8")
    before = len(secured.server.events("session"))
    run = secured.collect(**secured.by_password | {"SSL_CERT_FILE": str(other)}).check(2)
    assert "CERTIFICATE_VERIFY_FAILED" in run.stderr
    assert len(secured.server.events("session")) == before


def test_a_certificate_for_another_name_is_refused_unless_configured(secured: Secured) -> None:
    by_address = secured.by_password | {"REDSHIFT_HOST": "127.0.0.1"}
    run = secured.collect(**by_address).check(2)
    assert "verify-ca" in run.stderr
    secured.collect(**by_address, REDSHIFT_SSLMODE="verify-ca").check()


def test_iam_on_a_provisioned_cluster(secured: Secured) -> None:
    with secured.aws() as aws:
        run = secured.collect(
            **aws.environment, REDSHIFT_CLUSTER_IDENTIFIER="c1", REDSHIFT_DB_USER=ADMIN.name, REDSHIFT_DB_GROUPS="a,b"
        ).check()
    assert run.summary["records"] == 4
    asked = dict(aws.asked)
    assert asked["GetClusterCredentials"]["ClusterIdentifier"] == "c1"
    assert asked["GetClusterCredentials"]["DbUser"] == ADMIN.name
    assert {asked["GetClusterCredentials"][f"DbGroups.DbGroup.{place}"] for place in (1, 2)} == {"a", "b"}
    assert "DescribeClusters" in asked  # to find the address, because no host is set
    assert ADMIN.password not in run.stdout + run.stderr


def test_a_database_that_iam_does_not_allow_is_skipped(secured: Secured) -> None:
    by_iam = {"REDSHIFT_CLUSTER_IDENTIFIER": "c1", "REDSHIFT_DB_USER": ADMIN.name}
    with secured.aws(closed="analytics") as aws:
        run = secured.collect("--include", "finance.*", **aws.environment, **by_iam).check()
    assert run.summary["records"] == 1
    assert run.summary["skipped"] == {"database or project missing, dropped during the run, or not accessible": 1}
    assert "not authorized" in str(run.summary["skipped_examples"])


def test_iam_on_serverless(secured: Secured) -> None:
    with secured.aws() as aws:
        run = secured.collect(**aws.environment, REDSHIFT_WORKGROUP="wg1").check()
    assert run.summary["records"] == 4
    asked = dict(aws.asked)
    assert asked["GetCredentials"]["workgroupName"] == "wg1"
    assert asked["GetWorkgroup"]["workgroupName"] == "wg1"


def test_a_secret_of_secrets_manager(secured: Secured) -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redshift-AbCdEf"
    with secured.aws() as aws:
        run = secured.collect(**aws.environment, REDSHIFT_SECRET_ARN=arn).check()
    assert run.summary["records"] == 4
    assert aws.asked == [("GetSecretValue", {"SecretId": arn})]


def test_redshift_region_takes_precedence_over_aws_region(secured: Secured) -> None:
    arn = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:redshift-AbCdEf"
    with secured.aws() as aws:
        secured.collect(**aws.environment, REDSHIFT_SECRET_ARN=arn).check()
        secured.collect(**aws.environment, REDSHIFT_SECRET_ARN=arn, REDSHIFT_REGION="ap-south-1").check()
    assert aws.regions == [aws.environment["AWS_REGION"], "ap-south-1"]


def test_a_refusal_by_aws_is_a_refusal(secured: Secured) -> None:
    ways = (
        {"REDSHIFT_CLUSTER_IDENTIFIER": "c1", "REDSHIFT_DB_USER": ADMIN.name},
        {"REDSHIFT_WORKGROUP": "wg1"},
        {"REDSHIFT_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:x"},
    )
    for way in ways:
        with secured.aws(refuses=True) as aws:
            run = secured.collect(**aws.environment, **way).check(3)
        assert aws.asked
        assert "not authorized" in run.stderr


def test_the_password_of_a_secret_is_never_shown(secured: Secured) -> None:
    with Aws(ADMIN.name, "n0t-the-passw0rd", HOST, secured.server.port) as aws:
        run = secured.collect(**aws.environment, REDSHIFT_SECRET_ARN="arn:aws:secretsmanager:eu-west-1:1:secret:x")
    run.check(3)
    assert "n0t-the-passw0rd" not in run.stdout + run.stderr


def test_the_password_of_a_secret_is_masked(secured: Secured) -> None:
    """The server's message contains the user's name, which equals the password here."""
    with Aws("n0t-the-passw0rd", "n0t-the-passw0rd", HOST, secured.server.port) as aws:
        run = secured.collect(**aws.environment, REDSHIFT_SECRET_ARN="arn:aws:secretsmanager:eu-west-1:1:secret:x")
    run.check(3)
    assert "password authentication failed" in run.stderr
    assert "n0t-the-passw0rd" not in run.stdout + run.stderr


def test_variables_take_precedence_over_the_fields_of_a_secret(secured: Secured) -> None:
    before = len(secured.server.events("session"))
    with secured.aws() as aws:
        variables = {
            "REDSHIFT_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:x",
            "REDSHIFT_DATABASE": "finance",
        }
        secured.collect(**aws.environment, **variables).check()
    sessions = secured.server.events("session")[before:]
    assert [session["parameters"]["database"] for session in sessions] == ["finance", "analytics"]


def test_an_identity_provider_is_contacted_before_redshift(secured: Secured) -> None:
    """The driver's plugin gets its options. Its provider is not available."""
    provider = {"REDSHIFT_CREDENTIALS_PROVIDER": "OktaCredentialsProvider", "REDSHIFT_IDP_HOST": "127.0.0.1:1"}
    user = {
        "REDSHIFT_USER": "someone",
        "REDSHIFT_PASSWORD": "0kta-secret",
        "REDSHIFT_APP_ID": "a",
        "REDSHIFT_APP_NAME": "b",
    }
    before = len(secured.server.events("session"))
    run = secured.collect(
        **secured.by_password | provider | user, REDSHIFT_CLUSTER_IDENTIFIER="c1", AWS_REGION="eu-west-1"
    )
    assert run.exit_code in (2, 4)
    assert "identity provider" in run.stderr
    assert "SAML" in run.summary["error"]["message"]
    assert "0kta-secret" not in run.stdout + run.stderr
    assert len(secured.server.events("session")) == before
