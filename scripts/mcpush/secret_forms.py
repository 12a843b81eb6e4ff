"""The forms in which secrets appear in texts: a known secret in each encoding, and texts that are secrets by form.

Every pattern takes time linear in the text: responses and error messages can be hostile.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable, Iterator
from functools import lru_cache
from html.entities import codepoint2name
from typing import NamedTuple

MIN_BASE64_LENGTH = 8  # characters that depend on the secret only; fewer could be part of a word
MIN_LINE_LENGTH = 16  # a shorter line of a multi-line secret could be an ordinary word
_LITERAL = re.compile("[A-Za-z0-9]")  # no encoding changes these
_LETTER_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}
_BASE64_END = "[A-Za-z0-9+/_-]?={0,2}"  # the character that the last byte shares with the next text, and padding


# --- a known secret ---------------------------------------------------------------------------------------


def known_forms(secret: str) -> Iterator[str]:
    """Regular expressions for the secret: plain, escaped, quoted and in base64, and for each line of a key file."""
    # With backslashes in the secret, their number must be exact: patterns that leave it open take exponential time.
    for nesting in (0, 1, 2) if "\\" in secret else (2,):
        yield _escaped(secret, nesting)
    if "'" in secret:
        yield re.escape(shlex.quote(secret)[1:-1])
        yield re.escape(secret.replace("'", "''"))  # in SQL
    yield from _in_base64(secret)
    lines = re.split(r"[\r\n]+|\\n", secret)
    if len(lines) > 1:  # a message can contain single lines of a key
        for line in map(str.strip, lines):
            if len(line) >= MIN_LINE_LENGTH and not line.startswith("-----"):
                yield _escaped(line, 2)


def _escaped(secret: str, nesting: int) -> str:
    return "".join(_spellings(character, nesting) for character in secret)


@lru_cache(maxsize=4096)
def _spellings(character: str, nesting: int) -> str:
    """All spellings of a character in JSON, repr, URLs, HTML and shells, as one regular expression.

    ``nesting`` is how often the text was quoted, as JSON in JSON is 2. It doubles the backslashes.
    """
    if _LITERAL.fullmatch(character):
        return re.escape(character)
    slashes = 2**nesting  # in place of one
    plain = rf"\\{{{slashes}}}" if character == "\\" else rf"\\{{0,{slashes - 1}}}{re.escape(character)}"
    slash = rf"\\{{1,{max(1, slashes - 1)}}}"
    encoded = character.encode("utf-8", "surrogatepass")
    point = ord(character)
    forms = [
        "".join(f"%(?:25)?{_hex(byte)}" for byte in encoded),
        f"&(?:amp;)?#(?:0*{point}|[xX]0*{_hex(point, 1)});",
        slash + "u" + f"{slash}u".join(_hex(unit, 4) for unit in _utf16(character)),
        "".join(f"{slash}x{_hex(byte)}" for byte in encoded),
    ]
    if point in codepoint2name or character == "'":
        forms.append(f"&(?:amp;)?{codepoint2name.get(point, 'apos')};")
    if 0x7F < point < 0x100:
        forms += [f"{slash}x{_hex(point)}", f"%{_hex(point)}"]
    if point > 0x7F:
        forms.append(re.escape(encoded.decode("latin-1")))  # UTF-8 that was read as Latin-1
    if point > 0xFFFF:
        forms.append(f"{slash}U{_hex(point, 8)}")
    if character in _LETTER_ESCAPES:
        forms.append(slash + _LETTER_ESCAPES[character])
    if character == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join([*forms, plain])})"


def _hex(number: int, digits: int = 2) -> str:
    """A pattern for a hexadecimal number in upper or lower case."""
    return re.sub("[a-f]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", f"{number:0{digits}x}")


def _utf16(character: str) -> list[int]:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2)]


def _in_base64(secret: str) -> Iterator[str]:
    """The base64 of a text that contains the secret, for each of the three positions at which it can begin.

    Only the characters that do not depend on the text around the secret.
    """
    encodings = [secret.encode("utf-8", "surrogatepass")]
    if not secret.isascii() and max(secret) <= "\xff":
        encodings.append(secret.encode("latin-1"))
    for data in encodings:
        for before in range(3):
            encoded = base64.b64encode(bytes(before) + data).decode("ascii")
            own = encoded[-(-before * 4 // 3) : (before + len(data)) * 4 // 3]
            if len(own) >= MIN_BASE64_LENGTH:
                yield "".join(map(_base64_character, own)) + _BASE64_END


def _base64_character(character: str) -> str:
    urlsafe = {"+": "-", "/": "_"}.get(character)
    return f"(?:{_spellings(character, 2)}|{urlsafe})" if urlsafe else character


# --- texts that are secrets by their form ------------------------------------------------------------------


class Form(NamedTuple):
    """A pattern, whose group ``secret`` is masked if ``is_secret`` is true for it."""

    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool] = bool


def secrets_by_form(text: str) -> Iterator[tuple[int, int]]:
    """The spans of texts that are secrets whatever their value: keys, tokens, passwords in URLs, signatures."""
    for form in _FORMS:
        for found in form.pattern.finditer(text):
            if form.is_secret(found["secret"]):
                yield found.span("secret")


def _is_readable_base64(text: str) -> bool:
    """Whether this is base64 of readable text, unlike a word that consists of letters from its alphabet."""
    complete = text.rstrip("=").replace("-", "+").replace("_", "/")
    complete = complete[: len(complete) // 4 * 4]  # a truncated text ends anywhere
    try:
        data = base64.b64decode(complete)
    except ValueError:
        return False
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:  # a user and a password in Latin-1
        decoded = data.decode("latin-1")
        if ":" not in decoded:
            return False
    is_readable = all(character.isprintable() or character in "\t\r\n" for character in decoded)
    return is_readable and (len(text) >= MIN_BASE64_LENGTH or ":" in decoded)


def _is_random(text: str) -> bool:
    """Whether this looks like a generated token, unlike a word or a data type."""
    has_digits = any(character.isdigit() for character in text) and any(character.isalpha() for character in text)
    is_mixed = not text.islower() and not text.isupper()
    return (len(text) >= 12 and has_digits) or (len(text) >= 20 and is_mixed)


def _is_authorization(value: str) -> bool:
    return _SCHEME.match(value) is not None or _is_random(value)


_SCHEMES = r"(?i:Basic|Bearer|Digest|Negotiate|NTLM|OAuth|ApiKey|Token|Snowflake|AWS4-HMAC-SHA256)[ +]+"
_SCHEME = re.compile(_SCHEMES)
_PARAMETERS = r'(?:[\w-]+=(?:\\{0,3}"[^"]*"|[^\s,"\']*)(?:,\s*)?)+'
_IS = r"""(?:["'\\]{0,4}\s?[:=]|["'],)\s?b?["'\\]{0,4}"""  # between a name and its value, in headers, JSON and repr
_NAMES_OF_SECRETS = (
    "password|passwd|passphrase|passcode|client_secret|secret_access_key|session_token|access_token|refresh_token"
    "|id_token|oauth_token|api_key"
)

_FORMS = (
    # A private key in PEM, to its end or to the end of a truncated text. A message about the format has no key in it.
    Form(
        re.compile(
            r"-----BEGIN[A-Z0-9 +%]{1,40}PRIVATE[ +%20]{1,3}KEY[A-Z +%20]{0,12}-----"
            r"(?P<secret>[\s\\nr+%0ADad]{0,16}[A-Za-z0-9+/=:,-]{8}.*?)(?=-----END|\Z)",
            re.DOTALL,
        )
    ),
    Form(re.compile(r"\b(?i:Basic)(?:[ +]|%20){1,4}(?P<secret>[A-Za-z0-9+/_-]{4,}={0,2})"), _is_readable_base64),
    Form(re.compile(r"\b(?i:Bearer)(?:[ +]|%20){1,4}(?P<secret>[A-Za-z0-9._~+/-]{8,}={0,2})"), _is_random),
    # A JSON Web Token, signed or not, complete or truncated: the base64 of {" and more
    Form(
        re.compile(r"(?<![\w-])(?P<secret>eyJ[\w-]{8,}(?:\.[\w-]+){0,4})"),
        lambda token: _is_readable_base64(token.partition(".")[0]),
    ),
    Form(
        re.compile(rf"""(?i:\bauthorization){_IS}(?P<secret>(?:{_SCHEMES})?(?:{_PARAMETERS}|[^\s"',;<>\\]+))"""),
        _is_authorization,
    ),
    Form(re.compile(rf"""(?i:x-mcd-token|x-api-key|x-auth-token){_IS}(?P<secret>[^\s"',;&<>\\]{{4,}})""")),
    Form(
        re.compile(
            r"""(?i:\b(?:set-)?cookie)["'\\]{0,4}\s?[:,]\s?b?["'\\]{0,4}(?P<secret>[^\s=;"']{1,99}=[^\r\n"']+)"""
        )
    ),
    # Presigned addresses of AWS, Google and Azure
    Form(
        re.compile(
            r"(?i:X-Amz-Signature|X-Amz-Security-Token|X-Goog-Signature)(?:=|%3[dD])"
            r"""(?P<secret>[^\s&"'<>\\]+)"""
        )
    ),
    Form(re.compile(r"(?<![A-Za-z])(?i:sig|signature)(?:=|%3[dD])(?P<secret>[A-Za-z0-9%+/=_-]{20,})")),
    # user:password@ in a URL. An unescaped @ in the password is part of it.
    Form(re.compile(r"""://[^\s/?#"'<>:@]*:(?P<secret>[^\s/?#"'<>]+)@""")),
    Form(re.compile(rf"""(?i:{_NAMES_OF_SECRETS})(?:=|%3[dD])["'\\]{{0,4}}(?P<secret>[^\s&;,"'<>()\\]{{3,}})""")),
    Form(
        re.compile(
            rf"""(?i:{_NAMES_OF_SECRETS}|token)\\{{0,3}}["']\s?:\s?b?(?P<quote>\\{{0,3}}["'])"""
            r"""(?P<secret>(?:(?!(?P=quote))(?:\\.|[^\\])){1,100000})""",
            re.DOTALL,
        )
    ),
)
