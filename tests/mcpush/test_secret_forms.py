"""Secrets are masked in every encoding, and texts that are secrets by their form without being known."""

from __future__ import annotations

import base64
import html
import itertools
import json
import random
import shlex
import string
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from mcpush.redaction import excerpt, redact, register_secret, secret_variables
from mcpush.secret_forms import secrets_by_form


@pytest.fixture(autouse=True)
def _no_secret_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcpush.redaction._registered", set())


SECRETS = (
    "correct-horse-battery",
    'it\'s "quoted" & <long>/enough',
    'back\\slash\\\\and\\"more\\n',
    "pässwörd-ñ-€-長い-🔑",
    "a+b/c=d e%2Ff&amp;g",
    "tab\tand\x1bescape\x7f",
    "line one of it\nline two of it",
)


def lower_hex(text: str) -> str:
    """Percent escapes in lower case, as some servers write them."""
    parts = text.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def encodings(secret: str) -> dict[str, str]:
    """The secret as libraries, servers and shells write it."""
    raw = secret.encode()
    ascii_json, unicode_json = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    return {
        "plain": secret,
        "repr": repr(secret)[1:-1],
        "ascii": ascii(secret)[1:-1],
        "repr of bytes": repr(raw)[2:-1],
        "repr of repr": repr(repr(secret)[1:-1])[1:-1],
        "JSON": ascii_json,
        "JSON, not escaped": unicode_json,
        "JSON, upper-case": "".join(
            f"\\u{ord(each):04X}" if 0x7F < ord(each) < 0x10000 else each for each in unicode_json
        ),
        "JSON with \\/": ascii_json.replace("/", "\\/"),
        "JSON for HTML": ascii_json.replace("&", "\\u0026").replace("<", "\\u003C").replace(">", "\\u003e"),
        "JSON in JSON": json.dumps(ascii_json)[1:-1],
        "URL": quote(secret, safe=""),
        "URL with /": quote(secret),
        "URL with more": quote(secret, safe="!*'()/"),
        "URL, lower-case": lower_hex(quote(secret, safe="")),
        "URL with +": quote_plus(secret),
        "URL twice": quote(quote(secret, safe=""), safe=""),
        "HTML": html.escape(secret),
        "HTML without quotes": html.escape(secret, quote=False),
        "HTML, decimal": html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        "HTML, named": html.escape(secret).replace("&#x27;", "&apos;"),
        "HTML, ASCII": html.escape(secret).encode("ascii", "xmlcharrefreplace").decode(),
        "shell": shlex.quote(secret)[1:-1] if shlex.quote(secret) != secret else secret,
        "shell with backslashes": "".join(
            each if each.isalnum() or ord(each) > 0x7F or each in "\n" else f"\\{each}" for each in secret
        ),
        "SQL": secret.replace("'", "''"),
        "Latin-1": raw.decode("latin-1"),
    }


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("encoding", encodings(""))
def test_a_secret_is_masked_in_every_encoding(monkeypatch: pytest.MonkeyPatch, secret: str, encoding: str) -> None:
    monkeypatch.setenv("A_PASSWORD", secret)
    text = f"refused: [{encodings(secret)[encoding]}] for mc"
    assert redact(text) == "refused: [***] for mc"


@pytest.mark.parametrize("secret", ["correct-horse-battery", "pässwörd-ñ", "???>>>~~~???>>>", "seven77!"])
@pytest.mark.parametrize("before", ["", "u", "user:", "user:x", 'a long {"json": "', "é"])
@pytest.mark.parametrize("after", ["", ".", '"}', " and more"])
def test_a_secret_is_masked_in_base64_at_every_position(
    monkeypatch: pytest.MonkeyPatch, secret: str, before: str, after: str
) -> None:
    monkeypatch.setenv("A_PASSWORD", secret)
    data = f"{before}{secret}{after}".encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(data).decode()
        for shown in (encoded, encoded.rstrip("="), quote(encoded, safe=""), encoded.replace("/", "\\/")):
            masked = redact(f"<{shown}>")
            assert "***" in masked
            left = masked[1:-1].split("***")
            assert len(left) == 2
            # What is left is at most the text around the secret, with a part of the byte next to it.
            assert len(left[0]) <= len(before.encode()) * 4 / 3 + 2
            assert len(left[1]) <= (len(after) + 2) * 4 / 3 * 3


def test_the_base64_of_user_and_password_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a proxy repeats it from Proxy-Authorization, without the word Basic."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:p%40ss@proxy:3128")
    for password in ("p@ss", "p%40ss"):
        encoded = base64.b64encode(f"me:{password}".encode()).decode()
        assert redact(f"invalid credentials {encoded}") == "invalid credentials ***"
    assert redact("me:p@ss, me and proxy:3128") == "***, me and proxy:3128"


def test_short_secrets_do_not_mask_words_in_base64(monkeypatch: pytest.MonkeyPatch) -> None:
    register_secret("pass")
    assert redact("cGFzcw== cGFzc3dvcmQ= pass") == "cGFzcw== cGFzc3dvcmQ= ***"


BEGIN, END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
KEY_LINES = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj", "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dV"]
KEY = "\n".join([BEGIN, *KEY_LINES, END, ""])


def part(value: object) -> str:
    """A part of a JSON Web Token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


HEADER, PAYLOAD = part({"alg": "HS256", "typ": "JWT"}), part({"sub": "mc", "exp": 1767225600})
SIGNATURE = "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
HEX = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"

# Text → what is left. None of these secrets is known.
BY_FORM = {
    "Basic bWM6czNjcmV0LXBhc3M=": "Basic ***",
    "407 for basic bWM6czNjcmV0LXBhc3M, try again": "407 for basic ***, try again",
    "Basic YTpi": "Basic ***",
    "Proxy-Authorization: Basic bWM6w6k=": "Proxy-Authorization: ***",
    "Authorization: Bearer abcdef and more": "Authorization: *** and more",
    '{"Authorization": "Bearer abc.def", "Accept": "*/*"}': '{"Authorization": "***", "Accept": "*/*"}',
    "{'Authorization': 'Snowflake Token=\"ver:1-hint:92-ETMsDg\"'}": "{'Authorization': '***'}",
    "('authorization', b'Basic YTpi')": "('authorization', b'***')",
    f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/eu, SignedHeaders=host, Signature={HEX}": "Authorization: ***",
    'authorization: Digest username="mc", response="6629fae49393a053"': "authorization: ***",
    "Authorization: 92a84f4b7868a86f": "Authorization: ***",
    "Bearer ya29.a0AfH6SMBx-1234567890": "Bearer ***",
    "token: bearer dapi0123456789abcdef": "token: bearer ***",
    f"got {HEADER}.{PAYLOAD}.{SIGNATURE}!": "got ***!",
    f"got {HEADER}.{PAYLOAD}, cut": "got ***, cut",
    f"got {HEADER}": "got ***",
    "x-mcd-token: abcd1234": "x-mcd-token: ***",
    "{'x-mcd-id': 'key-id', 'x-mcd-token': 'abcd1234'}": "{'x-mcd-id': 'key-id', 'x-mcd-token': '***'}",
    "X-Api-Key: abcd1234": "X-Api-Key: ***",
    "Cookie: session=abc; other=d": "Cookie: ***",
    KEY: f"{BEGIN}***{END}\n",
    f"not a path: {KEY!r}": f"not a path: '{BEGIN}***{END}\\n'",
    f"not JSON: {json.dumps(KEY)[:90]}": f'not JSON: "{BEGIN}***',
    f"in a URL: {quote_plus(KEY)}": f"in a URL: {quote_plus(BEGIN)}***{quote_plus(END)}%0A",
    KEY.replace("PRIVATE", "RSA PRIVATE"): f"{BEGIN}***{END}\n".replace("PRIVATE", "RSA PRIVATE"),
    KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")[:80]: f"{BEGIN}***".replace("PRIVATE", "ENCRYPTED PRIVATE"),
    f"https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature={HEX}&x=1": (
        "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=***&x=1"
    ),
    "?X-Amz-Security-Token=IQoJb3JpZ2luX2VjE": "?X-Amz-Security-Token=***",
    f"?X-Goog-Signature={HEX}": "?X-Goog-Signature=***",
    "https://a.blob.core.windows.net/c?sv=2022&sig=Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA%3D%3D&se=1": (
        "https://a.blob.core.windows.net/c?sv=2022&sig=***&se=1"
    ),
    f"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature={HEX[:28]}": "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=***",
    "cannot reach http://mc:s3cret@proxy:3128/path": "cannot reach http://mc:***@proxy:3128/path",
    "postgresql://:s3@cr:et@host/db": "postgresql://:***@host/db",
    "jdbc:redshift://h:5439/dev?user=mc&password=s3cret&ssl=true": (
        "jdbc:redshift://h:5439/dev?user=mc&password=***&ssl=true"
    ),
    "CREATE USER mc PASSWORD='s3cret'": "CREATE USER mc PASSWORD='***'",
    '{"data": {"masterToken": "ver:1-abc", "token": "ver:1-def"}}': '{"data": {"masterToken": "***", "token": "***"}}',
    '{\\"password\\": \\"s3cret\\", \\"user\\": \\"mc\\"}': '{\\"password\\": \\"***\\", \\"user\\": \\"mc\\"}',
}


# pytest puts the id into a variable: with the text in it, the text would contain the secret of a variable.
@pytest.mark.parametrize("text", BY_FORM, ids=itertools.count())
def test_texts_that_are_secrets_by_their_form_are_masked(text: str) -> None:
    assert redact(text) == BY_FORM[text]
    assert redact(redact(text)) == BY_FORM[text]


UNCHANGED = (
    "SELECT Bearer, amount FROM notes WHERE Bearer = 'x' ORDER BY Bearer DESC",
    "CREATE TABLE t (Bearer VARCHAR(16), basic NUMBER(38,0), Basic TIMESTAMP_NTZ, token TEXT, sig FLOAT)",
    "the basic plan, basic authentication, Basic permissions and Basic information",
    "a bearer token, bearer authentication, the Bearer of this",
    "HeyJude and keyJar.holder.key, eyJoin_customers.orders.id, monkeyJohn",
    "Authorization: denied for role ANALYST on table SHOP.PUBLIC.ORDERS",
    "authorization is required; the Authorization: header is missing",
    "unexpected token: 'FROM' at line 1, token ':' and cookie: none",
    "Redshift rejected the password for user mc (28P01). Check REDSHIFT_PASSWORD.",
    "the user's password: it has expired",
    "id 6ba7b810-9dad-11d1-80b4-00c04fd430c8, 01b2c3d4-0000-1111-0000-000000000001",
    f"digest {HEX}, d41d8cd98f00b204e9800998ecf8427e",
    "http://proxy:3128/path?mail=a@b and mail a:b@c, https://host:443, s3://bucket/key:with@signs, ssh://git@host/x",
    f"The file must begin with {BEGIN} or -----BEGIN ENCRYPTED PRIVATE KEY-----, not -----BEGIN CERTIFICATE-----.",
    "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END CERTIFICATE-----",
    "AKIAIOSFODNN7EXAMPLE, s3://b/k?X-Amz-Date=20260131T000000Z&X-Amz-Expires=900, sig=1, design=modern-and-very-long",
    'SHOP.PUBLIC.ORDERS_2024 (table), Übergröße\'s "best" of 100%.v2 \\ `x`; --',
    "2026-01-31T06:00:00Z collected 3 records into /srv/push/metadata.jsonl.gz; skipped: no grant (2)",
    "max_tokens=100, tokenizer: 'x', passwordless=true, keyJ=1",
)


@pytest.mark.parametrize("text", UNCHANGED)
def test_ordinary_texts_are_not_masked(text: str) -> None:
    assert redact(text) == text


def test_ordinary_words_after_basic_and_bearer_are_not_masked() -> None:
    words = {word for text in (*UNCHANGED, __doc__ or "", *map(str, BY_FORM.values())) for word in text.split()}
    words = {word for word in words if word.isalpha()} | {"authorization", "subscription", "functionality", "settings"}
    assert len(words) > 80
    for word in sorted(words):
        assert redact(f"Basic {word}, Bearer {word}") == f"Basic {word}, Bearer {word}"


# --- variables ------------------------------------------------------------------------------------------

SERVICE_ACCOUNT = json.dumps({"type": "service_account", "private_key": KEY, "client_email": "mc@project"})

# Name and value → the secrets in it, and texts of it that are not secrets.
VARIABLES: dict[tuple[str, str], tuple[list[str], list[str]]] = {
    ("PGPASSWORD", "s3cret-of-pg"): (["s3cret-of-pg"], []),
    ("MYSQL_PASSWD", "s3cret-of-my"): (["s3cret-of-my"], []),
    ("SNOWFLAKE_PAT", "s3cret-pat"): (["s3cret-pat"], []),
    ("DATABASE_PASS", "s3cret-pass"): (["s3cret-pass"], []),
    ("SESSION_COOKIE", "sid=s3cretcookie"): (["sid=s3cretcookie"], []),
    ("AZURE_SAS", "sv=2022&se=1&x=abcdefgh"): (["sv=2022&se=1&x=abcdefgh"], []),
    ("SERVICE_CREDENTIALS", "me:s3cret-of-it"): (["me:s3cret-of-it"], []),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/mc/key.json"): ([], ["/etc/mc/key.json"]),
    ("GOOGLE_CREDENTIALS", SERVICE_ACCOUNT): ([SERVICE_ACCOUNT, KEY, KEY_LINES[0]], ["service_account", "mc@project"]),
    ("BIGQUERY_KEYFILE_JSON", SERVICE_ACCOUNT): ([KEY, *KEY_LINES], ["service_account", "mc@project"]),
    ("SNOWFLAKE_PRIVATE_KEY_FILE", KEY): ([KEY, *KEY_LINES], []),
    ("SNOWFLAKE_PRIVATE_KEY", KEY.replace("\n", "\\n")): ([KEY.replace("\n", "\\n"), *KEY_LINES], []),
    ("SNOWFLAKE_PRIVATE_KEY_FILE", "/etc/mc/key.p8"): ([], ["/etc/mc/key.p8"]),
    ("DATABASE_URI", "redshift://mc:s3cret@host/db?sslmode=require"): (["s3cret", "mc:s3cret"], ["host", "require"]),
    ("JDBC_URL", "jdbc:redshift://h/d?user=mc&password=s3%40cret"): (["s3%40cret", "s3@cret"], ["user=mc"]),
    ("REDSHIFT_DSN", "host=h user=mc password='s3 cret'"): (["s3 cret"], ["host=h user=mc"]),
    ("STORAGE_CONNECTION_STRING", "AccountName=shop;AccountKey=c2VjcmV0a2V5==;X=1"): (["c2VjcmV0a2V5=="], ["shop"]),
    ("AIRFLOW_CONN_REDSHIFT", "redshift://mc:s3cret@host:5439/dev"): (["s3cret"], ["host:5439/dev"]),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"): ([], ["AKIAIOSFODNN7EXAMPLE"]),
    ("REDSHIFT_CREDENTIALS_PROVIDER", "BrowserAzureOAuth2Plugin"): ([], ["BrowserAzureOAuth2Plugin"]),
    ("NO_PROXY", "localhost,127.0.0.1,proxy:1"): ([], ["localhost,127.0.0.1,proxy:1"]),
}


@pytest.mark.parametrize(("name", "value"), VARIABLES, ids=itertools.count())
def test_secrets_are_found_in_variables(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    secret, ordinary = VARIABLES[name, value]
    monkeypatch.setenv(name, value)
    for each in secret:
        assert redact(f"<{each.strip()}>") in ("<***>", f"<{BEGIN}***{END}>"), each
    for each in ordinary:
        assert redact(f"<{each}>") == f"<{each}>"
    assert (name in secret_variables()) == bool(secret)


def test_each_line_of_a_key_is_a_secret_but_not_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MC_PRIVATE_KEY", KEY)
    assert redact(f"line 2: {KEY_LINES[1]}, after {BEGIN}") == f"line 2: ***, after {BEGIN}"


# --- mask, then cut --------------------------------------------------------------------------------------


def test_no_part_of_a_secret_is_left_at_any_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", "s3cret-of-the-test")
    text = "refused: s3cret-of-the-test, again: s3cret-of-the-test"
    for length in range(len(text) + 1):
        assert excerpt(text, length) == "refused: ***, again: ***"[:length]


def test_an_excerpt_does_not_read_a_whole_long_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", "s3cret-of-the-test")
    long, longer = (" s3cret-of-the-test " * (length // 20) for length in (200_000, 4_000_000))
    assert excerpt(longer, 300) == (" *** " * 60)
    assert shortest_time(lambda text: excerpt(text, 300), longer) < 4 * shortest_time(redact, long)


# --- hostile texts -----------------------------------------------------------------------------------------

# Each is repeated. A quadratic pattern takes 64 times as long for a text that is 8 times as long.
PARTS = (
    *("-", "-----BEGIN ", "-----BEGIN A PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----abcdefgh", "-----END "),
    *("eyJ", "eyJaaaaaaaa.", ".eyJ", "://", "://a:", "://a:b@", ":", "@", "a:b", "://a:b", "a@"),
    *("Basic ", "Basic a", "Basic YTpi ", "Bearer ", "Bearer +", "Bearer a1b2c3d4e5f6 ", "basic+", "+", "="),
    *("authorization", "authorization:", "authorization:a=", 'authorization: Digest a="', "authorization=b='"),
    *("cookie:", "cookie:a", "cookie:a=", "set-cookie: a=b;", "x-mcd-token:", "x-mcd-token:abcd", "x-api-key=\\"),
    *("sig=", "signature=", "sig=a%3D", "X-Amz-Signature=", "X-Amz-Signature", "X-Goog-Signature%3D"),
    *("password=", "password='", 'password"', '"password":"', '"token":"\\', 'token\\":\\"', "token", "api_key=("),
    *("\\", '"', "a", " ", "\n", "\0", "é", "aA1"),
)
PARTS_OF_KNOWN = (
    *("s3cret", "s3cret-of\\", "s3cret-of-the-tes", "a", "\\", "\\\\", '\\"', "%", "%25", "&", "&amp;", "&#", "\\u00"),
    *("\\x", "'", "''", "'\"'\"'", "&#x27;", "c3VwZXI", "wcm9tZX", "c3VcI\\"),
)
KNOWN = ("s3cret-of-the-test", "su\"per\\sec\\\\ret'", "a" * 12 + "b", "\\" * 12 + "x", "%25" * 5 + "x", "'" * 10 + "x")


def shortest_time(work: Callable[[str], object], text: str) -> float:
    """Seconds of processor time."""
    times = []
    for _ in range(2):
        start = time.process_time()
        work(text)
        times.append(time.process_time() - start)
    return min(times)


def check_linear(work: Callable[[str], object], part: str) -> None:
    few, many = (shortest_time(work, part * (length // len(part)) + "!") for length in (4_000, 32_000))
    assert many < 20 * few + 0.005, f"{few:.4f} s, {many:.4f} s"


@pytest.mark.parametrize("part", PARTS)
def test_secrets_are_found_by_form_in_linear_time(part: str) -> None:
    check_linear(lambda text: list(secrets_by_form(text)), part)


@pytest.mark.parametrize("part", PARTS_OF_KNOWN)
def test_known_secrets_are_found_in_linear_time(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    for number, secret in enumerate(KNOWN):
        monkeypatch.setenv(f"VAR_{number}_PASSWORD", secret)
    redact("")
    check_linear(redact, part)


def test_a_known_secret_is_masked_between_hostile_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand mixtures."""
    monkeypatch.setenv("A_PASSWORD", "s3cret-of-the-test")
    chooser = random.Random(8)
    for _ in range(1_000):
        parts = chooser.choices(PARTS + PARTS_OF_KNOWN, k=30)
        parts.insert(chooser.randrange(30), "s3cret-of-the-test")
        assert "s3cret-of-the-test" not in redact("".join(parts))


def test_many_and_long_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of 4 KB and fifty tokens."""
    chooser = random.Random(8)
    make: Callable[[int], str] = lambda length: "".join(chooser.choices(string.ascii_letters + "+/", k=length))  # noqa: E731
    lines = [make(64) for _ in range(64)]
    monkeypatch.setenv("MC_PRIVATE_KEY", "\n".join([BEGIN, *lines, END]))
    tokens = [make(40) for _ in range(50)]
    for number, token in enumerate(tokens):
        monkeypatch.setenv(f"VAR_{number}_TOKEN", token)
    assert redact(" ".join([*lines, *tokens])) == " ".join(["***"] * 114)
