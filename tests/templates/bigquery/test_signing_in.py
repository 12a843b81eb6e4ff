"""Tests every kind of credentials through the real google-auth, and credentials that are missing, wrong or unusable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import certificate_for
from tests.folder_modules import CANARY, error_of
from tests.script_process import TEMPLATES, Run, run_script
from tests.templates.bigquery import identity_provider as provider
from tests.templates.bigquery import world
from tests.templates.bigquery.conftest import Scripts
from tests.templates.bigquery.front import Front, said
from tests.templates.bigquery.identity_provider import TARGET, key_of, write

FILE = "GOOGLE_APPLICATION_CREDENTIALS"
TOKEN = "^POST /token"
LIST = r"^GET .*/datasets$"
IAM = "iamcredentials.googleapis.com"
TOKENS_OF_USERS = "oauth2.googleapis.com"
GCLOUD_FILE = "application_default_credentials.json"


def collect(scripts: Scripts, path: Path | None, *arguments: str, **changes: str) -> Run:
    """A run with this file of credentials, and the projects of the world."""
    env = scripts.environment | {FILE: str(path) if path else "", "CLOUDSDK_CONFIG": str(scripts.work / "gcloud")}
    return scripts.run(env | changes, *arguments)


def assert_collected(scripts: Scripts, run: Run) -> None:
    run.check()
    assert sorted(scripts.names()) == sorted(world.ALL_TABLES)


@pytest.fixture
def google(scripts: Scripts, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Front]:
    """One of Google's hosts, behind a proxy."""
    path = write(tmp_path / "google.pem", certificate_for(getattr(request, "param", IAM)))
    with Front(scripts.server.url, str(path)) as front:
        yield front


def through(google: Front) -> dict[str, str]:
    return {"HTTPS_PROXY": google.url, "REQUESTS_CA_BUNDLE": google.certificate}


# --- kinds of credentials --------------------------------------------------------------------------------------------


def test_a_key_of_a_service_account(scripts: Scripts) -> None:
    assert_collected(scripts, collect(scripts, scripts.server.credentials_file()))
    principals = {request["principal"] for request in scripts.server.requests()}
    assert principals == {"right"}


@pytest.mark.parametrize("variable", ["CLOUDSDK_CONFIG", "HOME"])
def test_credentials_in_the_place_of_gcloud(scripts: Scripts, variable: str) -> None:
    home = scripts.work / "home"
    folder = home if variable == "CLOUDSDK_CONFIG" else home / ".config/gcloud"
    folder.mkdir(parents=True)
    write(folder / GCLOUD_FILE, key_of(scripts.server))
    env = scripts.environment | {variable: str(home)}
    del env[FILE]
    assert_collected(scripts, scripts.run(env))


@pytest.mark.parametrize("google", [TOKENS_OF_USERS], indirect=True)
def test_credentials_of_a_user(scripts: Scripts, google: Front) -> None:
    """Their tokens come from Google's own host, whatever the file says."""
    content = {
        "type": "authorized_user",
        "client_id": "x.apps.googleusercontent.com",
        "client_secret": "y",
        "refresh_token": provider.REFRESH_TOKEN,
        "quota_project_id": world.LAB,
    }
    google.answer("^POST /token", provider.refreshes)
    scripts.front.answer("GET", said(404, {}))  # the token is not of the local BigQuery
    collect(scripts, write(scripts.work / "user.json", content), **through(google)).check(3)
    assert google.tunnels == [f"{TOKENS_OF_USERS}:443"]
    (request,) = scripts.front.requests
    assert request.headers["authorization"] == f"Bearer {provider.OF_USER}"
    assert request.headers["x-goog-user-project"] == world.LAB


def external_account(scripts: Scripts, **changes: Any) -> dict[str, Any]:
    """As gcloud writes it: https://google.aip.dev/auth/4117"""
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{scripts.front.url}/sts",
        "credential_source": {"file": str(write(scripts.work / "subject", provider.SUBJECT))},
        "service_account_impersonation_url": f"{scripts.front.url}{provider.IMPERSONATION}",
        **changes,
    }


def test_workload_identity(scripts: Scripts) -> None:
    scripts.front.answer("^POST /sts", provider.exchanges)
    scripts.front.answer("generateAccessToken", provider.impersonates(scripts.server, provider.FEDERATED))
    file = write(scripts.work / "external.json", external_account(scripts))
    assert_collected(scripts, collect(scripts, file))
    (exchange,) = scripts.front.matching("/sts")
    assert f"subject_token={provider.SUBJECT}".encode() in exchange.body


def test_workload_identity_with_a_wrong_token_is_refused(scripts: Scripts) -> None:
    scripts.front.answer("^POST /sts", provider.exchanges)
    source = {"file": str(write(scripts.work / "other", f"eyJ.{CANARY}"))}
    run = collect(scripts, write(scripts.work / "e.json", external_account(scripts, credential_source=source))).check(3)
    assert CANARY not in run.stdout + run.stderr
    assert len(scripts.front.matching("/sts")) == 1


@pytest.mark.parametrize("google", [IAM], indirect=True)
def test_a_file_that_impersonates(scripts: Scripts, google: Front) -> None:
    content = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": f"https://{IAM}{provider.IMPERSONATION}",
        "source_credentials": key_of(scripts.server, token_uri=f"{scripts.front.url}/token"),
        "delegates": [],
    }
    own = provider.token_of(scripts.server)
    scripts.front.answer(TOKEN, said(200, {"access_token": own, "expires_in": 3600, "token_type": "Bearer"}))
    google.answer("generateAccessToken", provider.impersonates(scripts.server, own))
    assert_collected(scripts, collect(scripts, write(scripts.work / "i.json", content), **through(google)))
    assert google.tunnels == [f"{IAM}:443"]
    (request,) = google.requests
    assert (request.host, request.path) == (IAM, provider.IMPERSONATION)


def test_impersonation_by_variable(scripts: Scripts, google: Front) -> None:
    own = provider.token_of(scripts.server)
    scripts.front.answer(TOKEN, said(200, {"access_token": own, "expires_in": 3600, "token_type": "Bearer"}))
    google.answer("generateAccessToken", provider.impersonates(scripts.server, own))
    key = write(scripts.work / "key.json", key_of(scripts.server, token_uri=f"{scripts.front.url}/token"))
    run = collect(
        scripts,
        key,
        **through(google),
        BIGQUERY_IMPERSONATE_SERVICE_ACCOUNT=TARGET,
        GOOGLE_CLOUD_QUOTA_PROJECT=world.LAB,
    )
    assert_collected(scripts, run)
    (request,) = google.requests
    assert request.path == provider.IMPERSONATION
    assert request.json["scope"] == ["https://www.googleapis.com/auth/cloud-platform"]
    sent = {request.headers.get("authorization") for request in scripts.front.matching("/bigquery/")}
    assert f"Bearer {own}" not in sent, "BigQuery sees the account that is impersonated"
    quota = {request.headers.get("x-goog-user-project") for request in scripts.front.matching("/bigquery/")}
    assert quota == {world.LAB}


def test_impersonation_without_the_role_is_refused(scripts: Scripts, google: Front) -> None:
    google.answer("generateAccessToken", provider.impersonates(scripts.server))
    key = scripts.server.credentials_file()
    run = collect(scripts, key, **through(google), BIGQUERY_IMPERSONATE_SERVICE_ACCOUNT=TARGET).check(3)
    assert "role" in error_of(run)["remedy"]
    assert len(google.requests) == 1


def test_the_quota_project_is_sent(scripts: Scripts) -> None:
    assert_collected(scripts, scripts.collect(GOOGLE_CLOUD_QUOTA_PROJECT=world.LAB))
    assert {request.headers.get("x-goog-user-project") for request in scripts.front.requests} == {world.LAB}


def without_file(scripts: Scripts, **changes: str) -> dict[str, str]:
    """Variables of a process without credentials in a file."""
    env = scripts.environment | {"CLOUDSDK_CONFIG": str(scripts.work / "nothing"), **changes}
    del env[FILE]
    return env


def test_credentials_of_a_virtual_machine(scripts: Scripts) -> None:
    """As a process: google-auth reads the host when it is imported."""
    provider.be_metadata_server(scripts.front, scripts.server, world.SHOP)
    host = scripts.front.url.removeprefix("http://")
    env = without_file(scripts, GCE_METADATA_HOST=host, GCE_METADATA_IP=host)
    command = ("--manifest", str(scripts.work / "metadata.jsonl"))
    assert_collected(scripts, run_script(TEMPLATES / "bigquery", "collect_metadata.py", *command, env=env))


@pytest.mark.parametrize("check", ["true", ""])
def test_no_credentials_at_all(scripts: Scripts, check: str) -> None:
    """Nothing listens where a metadata server would be; google-auth looks for it three times, for three seconds."""
    env = without_file(scripts, NO_GCE_CHECK=check, GCE_METADATA_IP="127.0.0.1:1")
    command = ("--manifest", str(scripts.work / "metadata.jsonl"))
    run = run_script(TEMPLATES / "bigquery", "collect_metadata.py", *command, env=env).check(2)
    assert FILE in run.summary["error"]["remedy"]
    assert "gcloud auth application-default login" in run.summary["error"]["remedy"]
    assert "Traceback" not in run.stderr


# --- the project -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "payer", "read"),
    [
        ({"GOOGLE_CLOUD_PROJECT": world.LAB, "BIGQUERY_PROJECTS": world.SHOP}, world.LAB, [world.SHOP]),
        ({"GOOGLE_CLOUD_PROJECT": world.LAB, "BIGQUERY_PROJECTS": ""}, world.LAB, [world.LAB]),
        ({"GCLOUD_PROJECT": world.LAB, "BIGQUERY_PROJECTS": ""}, world.LAB, [world.LAB]),
        ({"BIGQUERY_PROJECTS": ""}, world.SHOP, [world.SHOP]),
        ({"BIGQUERY_PROJECTS": f"{world.LAB}, {world.SHOP},{world.LAB}"}, world.SHOP, [world.LAB, world.SHOP]),
    ],
)
def test_jobs_run_in_the_project_of_the_credentials_unless_a_variable_names_one(
    scripts: Scripts, changes: dict[str, str], payer: str, read: list[str]
) -> None:
    env = {name: value for name, value in scripts.environment.items() if name != "GOOGLE_CLOUD_PROJECT"}
    key = write(scripts.work / "key.json", key_of(scripts.server, project_id=world.SHOP))
    scripts.run(env | {FILE: str(key)} | changes).check()
    assert list(dict.fromkeys(name.split(".")[0] for name in scripts.names())) == read
    inserted = {request.path.split("/")[-2] for request in scripts.front.matching("^POST .*/jobs$")}
    assert inserted == {payer}


def test_a_project_that_nothing_names_is_a_configuration_error(scripts: Scripts) -> None:
    env = {name: value for name, value in scripts.environment.items() if "PROJECT" not in name}
    key = key_of(scripts.server)
    del key["project_id"]
    run = scripts.run(env | {FILE: str(write(scripts.work / "key.json", key))}).check(2)
    assert "GOOGLE_CLOUD_PROJECT" in error_of(run)["remedy"]
    assert scripts.front.requests == []


# --- wrong credentials -----------------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused(scripts: Scripts) -> None:
    run = collect(scripts, scripts.server.credentials_file("wrong")).check(3)
    assert "Invalid JWT Signature" in error_of(run)["message"]
    assert "key" in error_of(run)["remedy"]
    assert scripts.front.requests == []


UNUSABLE: dict[str, Any] = {
    "missing": None,
    "a folder": Path,
    "empty": "",
    "not JSON": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n",
    "half": f'{{"type": "service_account", "private_key": "{CANARY}',
    "another encoding": b"\xff\xfe{}",
    "deep": "[" * 100_000,
    "a list": [CANARY],
    "a text": json.dumps(CANARY),
    "no type": {"private_key": CANARY},
    "another type": {"type": CANARY},
    "a type that is a list": {"type": [CANARY]},
    "no key": {"type": "service_account", "client_email": CANARY, "token_uri": "https://oauth2.googleapis.com/token"},
    "no real key": {
        "type": "service_account",
        "client_email": "x@y",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n",
    },
    "a key that is a number": {
        "type": "service_account",
        "client_email": "x@y",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key": 7,
    },
    "no refresh token": {"type": "authorized_user", "client_id": CANARY},
    "no source": {"type": "impersonated_service_account", "service_account_impersonation_url": f"https://{CANARY}/"},
    "another source": {"type": "impersonated_service_account", "source_credentials": {"type": CANARY}},
    "no URL to impersonate": {
        "type": "impersonated_service_account",
        "source_credentials": {
            "type": "authorized_user", "client_id": CANARY, "client_secret": "x", "refresh_token": "y",
        },
    },
    "no source of tokens": {"type": "external_account", "audience": CANARY, "token_url": "https://sts.googleapis.com"},
    "a source that is a text": {"type": "external_account", "credential_source": CANARY},
}  # fmt: skip


@pytest.mark.parametrize("place", ["variable", "gcloud"])
@pytest.mark.parametrize("what", UNUSABLE)
def test_an_unusable_file_is_reported_without_its_content(scripts: Scripts, what: str, place: str) -> None:
    content = UNUSABLE[what]
    folder = scripts.work / f"place-{CANARY}"
    folder.mkdir()
    path = folder / GCLOUD_FILE
    if content is Path:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        write(path, content)
    elif place == "gcloud":
        return  # no credentials: see above
    if place == "gcloud" and content is Path:
        return
    env = scripts.environment | ({FILE: str(path)} if place == "variable" else {"CLOUDSDK_CONFIG": str(folder)})
    if place == "gcloud":
        del env[FILE]
    run = scripts.run(env).check(2)
    assert (FILE if place == "variable" else "gcloud") in error_of(run)["message"]
    assert CANARY not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert scripts.front.requests == []


# --- encryption ------------------------------------------------------------------------------------------------------

ELSEWHERE = "http://192.0.2.1/token"


def unencrypted(scripts: Scripts, what: str) -> dict[str, Any]:
    return {
        "token_uri": key_of(scripts.server, token_uri=ELSEWHERE),
        "token_url": external_account(scripts, token_url=ELSEWHERE),
        "token_info_url": external_account(scripts, token_info_url=ELSEWHERE),
        "service_account_impersonation_url": external_account(scripts, service_account_impersonation_url=ELSEWHERE),
        "credential_source.url": external_account(scripts, credential_source={"url": ELSEWHERE}),
        "source_credentials": {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": f"https://{IAM}{provider.IMPERSONATION}",
            "source_credentials": key_of(scripts.server, token_uri=ELSEWHERE),
        },
        "no URL": key_of(scripts.server, token_uri=CANARY),
    }[what]


FIELDS = [
    *("token_uri", "token_url", "token_info_url", "service_account_impersonation_url", "credential_source.url"),
    *("source_credentials", "no URL"),
]


@pytest.mark.parametrize("place", ["variable", "gcloud"])
@pytest.mark.parametrize("what", FIELDS)
def test_no_key_is_sent_unencrypted_to_another_machine(scripts: Scripts, what: str, place: str) -> None:
    path = write(scripts.work / GCLOUD_FILE, unencrypted(scripts, what))
    env = scripts.environment | ({FILE: str(path)} if place == "variable" else {"CLOUDSDK_CONFIG": str(scripts.work)})
    if place == "gcloud":
        del env[FILE]
    error = error_of(scripts.run(env).check(2))
    assert "192.0.2.1" not in error["message"]
    assert CANARY not in error["message"]
    assert ("https://" if what == "no URL" else "--allow-plaintext") in error["remedy"]
    assert scripts.front.requests == []


def test_tokens_of_a_virtual_machine_of_another_cloud_need_no_encryption(scripts: Scripts) -> None:
    """The request is not sent: nothing exchanges its token."""
    source = {"url": "http://169.254.169.254/metadata/identity/oauth2/token"}
    content = external_account(scripts, credential_source=source)
    path = write(scripts.work / "azure.json", content)
    check = scripts.modules["signing_in"]._check_file
    check("a file", path)


# --- the token endpoint ----------------------------------------------------------------------------------------------


def key_at_front(scripts: Scripts) -> Path:
    return write(scripts.work / "key.json", key_of(scripts.server, token_uri=f"{scripts.front.url}/token"))


def test_an_unavailable_token_endpoint_is_tried_again(scripts: Scripts) -> None:
    scripts.front.answer(TOKEN, said(503, "unavailable", "text/plain"), times=4)
    assert_collected(scripts, collect(scripts, key_at_front(scripts), BIGQUERY_RETRY_SECONDS="60"))


def test_a_token_endpoint_that_stays_unavailable_ends_the_run(scripts: Scripts) -> None:
    scripts.front.answer(TOKEN, said(503, {"error": "temporarily_unavailable"}))
    run = collect(scripts, key_at_front(scripts), BIGQUERY_RETRY_SECONDS="2").check(4)
    assert "again" in error_of(run)["remedy"]


def test_a_refusal_of_the_token_endpoint_is_not_tried_again(scripts: Scripts) -> None:
    scripts.front.answer(TOKEN, said(400, {"error": "invalid_grant", "error_description": "account not found"}))
    run = collect(scripts, key_at_front(scripts)).check(3)
    assert "account not found" in error_of(run)["message"]
    assert len(scripts.front.matching(TOKEN)) == 1


@pytest.mark.parametrize(("status", "exit_code"), [(200, 4), (403, 3), (502, 3)])
def test_a_page_of_a_proxy_instead_of_a_token_is_reported(scripts: Scripts, status: int, exit_code: int) -> None:
    scripts.front.answer(TOKEN, said(status, "<html><p>blocked by the test</html>", "text/html"))
    run = collect(scripts, key_at_front(scripts)).check(exit_code)
    assert error_of(run)["message"].startswith("Google sign-in: ")
    assert "proxy" in error_of(run)["remedy"]
    assert "Traceback" not in run.stderr


def test_a_token_that_expired_early_is_refreshed(scripts: Scripts) -> None:
    scripts.front.answer(LIST, said(401, {"error": {"code": 401, "message": "expired"}}), times=1)
    own = provider.token_of(scripts.server)
    scripts.front.answer(TOKEN, said(200, {"access_token": own, "expires_in": 3600, "token_type": "Bearer"}))
    assert_collected(scripts, collect(scripts, key_at_front(scripts)))
    assert len(scripts.front.matching(TOKEN)) == 2


@pytest.mark.parametrize("bundle", ["of another server", "missing", "no certificates"])
def test_an_untrusted_certificate_is_a_configuration_error(scripts: Scripts, google: Front, bundle: str) -> None:
    """It is not tried again: nobody can repair it meanwhile."""
    path = scripts.work / "other.pem"
    if bundle != "missing":
        write(path, certificate_for("other.example.com") if bundle == "of another server" else "no certificates")
    changes = through(google) | {"REQUESTS_CA_BUNDLE": str(path)}
    key = scripts.server.credentials_file()
    run = collect(scripts, key, **changes, BIGQUERY_IMPERSONATE_SERVICE_ACCOUNT=TARGET).check(2)
    assert "REQUESTS_CA_BUNDLE" in error_of(run)["message"] + error_of(run)["remedy"]
    assert len(google.tunnels) <= 4, "google-auth's own attempts, at once"
