"""Names and texts of others are printed escaped: no terminal commands, no forged or hidden text."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from mcpush.control_characters import escape_block, escape_line
from mcpush.redaction import printable

from tests.mcpush.test_console import TIMED_LINE, run_work
from tests.script_process import LONGEST_RUN_SECONDS, SCRIPTS, TEMPLATES, clean_environment

FORGED = "2026-01-01T00:00:00Z error: all records accepted"
# A hostile text → what is printed.
HOSTILE = {
    "x\x1b]0;title\x07y": "x\\x1b]0;title\\x07y",
    "x\x1b[2J\x1b[31my": "x\\x1b[2J\\x1b[31my",
    "x\x9b31my": "x\\x9b31my",
    f"x\n{FORGED}": f"x\\n{FORGED}",
    f"x\r\n{FORGED}": f"x\\r\\n{FORGED}",
    f"x\r{FORGED}": f"x\\r{FORGED}",
    f"x\x85{FORGED}": f"x\\x85{FORGED}",
    f"x\u2028{FORGED}": f"x\\u2028{FORGED}",
    f"x\u2029{FORGED}": f"x\\u2029{FORGED}",
    f"x\x0b{FORGED}\x0c\x1c\x1d\x1ey": f"x\\x0b{FORGED}\\x0c\\x1c\\x1d\\x1ey",
    "x\x08\x08y\x7f\x00\x90": "x\\x08\\x08y\\x7f\\x00\\x90",
    "x\u202egnp.exe\u202c": "x\\u202egnp.exe\\u202c",
    "x\u2066y\u2067\u2068\u2069\u202a\u202b\u202d": "x\\u2066y\\u2067\\u2068\\u2069\\u202a\\u202b\\u202d",
    "x\u200e\u200f\u061cy": "x\\u200e\\u200f\\u061cy",
    "x\u200b\u2060\ufeff\u00ady\u2063": "x\\u200b\\u2060\\ufeff\\xady\\u2063",
    "x\U000e0041\U000e0001y": "x\\U000e0041\\U000e0001y",
    "x\ud800y\udc80": "x\\ud800y\\udc80",
    "x\ufff9y\ufffa": "x\\ufff9y\\ufffa",
    "x\ty": "x\\ty",
}
ORDINARY = (
    'Übergröße\'s "best" of 100%.v2 \\ `x`; --',
    "注文　一覧",
    "می‌خواهم",
    "क्‍ष",
    "👩‍👩‍👧 🏳️‍🌈",
    "שלום عليكم",
    "a\u00a0b",
    "C:\\new\\table",
)


@pytest.mark.parametrize("text", HOSTILE, ids=itertools.count())
def test_control_characters_are_escaped(text: str) -> None:
    assert ascii(printable(text)) == ascii(HOSTILE[text])


@pytest.mark.parametrize("text", ORDINARY)
def test_names_in_all_scripts_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


BIDIRECTIONAL = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def test_every_control_character_is_escaped_and_no_visible_one() -> None:
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        category = unicodedata.category(character)
        if category in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in BIDIRECTIONAL:
            assert escape_line(character).isascii(), hex(point)
            assert escape_line(character).startswith("\\")
        elif category[0] in "LMNPS":
            assert escape_line(character) == character


def test_a_block_keeps_its_lines_and_tabs() -> None:
    assert escape_block("a\n\tb\x1b\r\n") == "a\n\tb\\x1b\\r\n"


def test_a_secret_with_control_characters_is_masked_and_not_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", "s3cret\x1b\u202e-of")
    assert printable("<s3cret\x1b\u202e-of>\x1b") == "<***>\\x1b"


# --- scripts ---------------------------------------------------------------------------------------------

TEXTS = [text for text in HOSTILE if text.isprintable() or "\ud800" not in text]  # a pipe cannot carry half a character
SHOW = f"texts = {TEXTS!r}"


def shown() -> list[str]:
    return [HOSTILE[text] for text in TEXTS]


def messages(stderr: str) -> list[str]:
    """The text of each line. Fails if a line has no time, unless it belongs to a traceback."""
    lines = [line for line in stderr.split("\n") if not line.startswith("  | ")]
    assert lines.pop() == ""
    found = [TIMED_LINE.fullmatch(line) for line in lines]
    assert all(found), stderr
    return [line[2] for line in found if line]


def check_safe(text: str) -> None:
    assert escape_block(text) == text
    assert "\n2026-01-01" not in text


def test_log_lines_of_names_and_errors_are_one_line_each() -> None:
    done = run_work(f"""
    {SHOW}
    for text in texts:
        log.info("%s", text)
        logging.getLogger("driver").warning("failed: " + text)
    """)
    assert messages(done.stderr) == [line for text in shown() for line in (text, f"failed: {text}")]


@pytest.mark.parametrize(
    ("work", "first"),
    [
        ("raise ValueError(text)", "unexpected error"),
        ("log.error('failed', exc_info=ValueError(text))", "failed"),
        ("log.error('failed', stack_info=True, exc_info=ValueError(text))", "failed"),
        ("threading.Thread(target=fail).start()", "unexpected error in a thread"),
        ("Broken()", "ignored an error in"),
        ("warnings.warn(text)", "<string>:"),
        ("exec(compile('1/0', text.replace(chr(0), ''), 'exec'))", "unexpected error"),
    ],
)
def test_errors_of_all_kinds_cannot_forge_a_line(work: str, first: str) -> None:
    done = run_work(f"""
    import threading, warnings
    text = "".join({TEXTS!r}) + " s3cret-of-the-test"
    def fail():
        raise ValueError(text)
    class Broken:
        def __del__(self):
            fail()
    {work}
    """)
    assert messages(done.stderr)[0].startswith(first)
    check_safe(done.stderr)
    assert "\\x1b]0;title" in done.stderr
    assert "s3cret" not in done.stderr


def test_an_error_before_the_run_is_shown_like_any_other(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from mcpush.program import make_parser, parse_arguments\n"
        "parse_arguments(make_parser('', 'x.py', ''), [])\n"
        f"raise ValueError({'x' + chr(10) + FORGED!r} + '\\x1b[2J s3cret-of-the-test')\n"
    )
    env = clean_environment({"PYTHONPATH": str(TEMPLATES / "snowflake"), "A_PASSWORD": "s3cret-of-the-test"})
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert messages(done.stderr) == ["unexpected error"]
    assert done.stderr.endswith(f"  | ValueError: x\n  | {FORGED}\\x1b[2J ***\n")


def command(*arguments: str | Path, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=clean_environment({"A_PASSWORD": "s3cret-of-the-test"}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_SECONDS,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize(
    "script",
    [
        [TEMPLATES / "snowflake/collect_lineage.py"],
        [TEMPLATES / "redshift/push_metadata.py"],
        [SCRIPTS / "new_push.py"],
        [SCRIPTS / "sql_lineage.py", "--dialect", "hive"],
        [SCRIPTS / "sandbox"],
    ],
    ids=lambda script: script[0].name,
)
def test_usage_errors_repeat_arguments_escaped(script: Sequence[str | Path]) -> None:
    # An argument with a space is not an option.
    unknown = "--x" + "".join(text for text in TEXTS if "\0" not in text).replace(" ", "-") + "s3cret-of-the-test"
    done = command(*script, "redshift", unknown)
    assert done.returncode == 2
    check_safe(done.stderr)
    assert done.stderr.count("\n") == done.stderr.rstrip().count("\n") + 1
    assert "x\\x1b]0;title\\x07y" in done.stderr


@pytest.mark.parametrize("option", ["--since", "--lookback-hours"])
def test_invalid_values_are_repeated_escaped(option: str) -> None:
    done = command(TEMPLATES / "redshift/collect_lineage.py", option, f"\x1b]0;x\x07\u202e\n{FORGED}")
    assert done.returncode == 2
    check_safe(done.stderr)
    assert "\\x1b]0;x\\x07\\u202e\\n2026" in done.stderr


# --- other commands ----------------------------------------------------------------------------------------


def test_new_push_escapes_paths_and_names(tmp_path: Path) -> None:
    folder = tmp_path / f"x\x1b[2J\u202e\n{FORGED}"
    cases: tuple[tuple[int, list[str | Path]], ...] = (
        (0, ["redshift", folder]),
        (2, ["redshift", folder]),
        (0, ["--upgrade", folder]),
        (2, ["--upgrade", folder / "none"]),
        (2, ["red\x1b[2J\u202e\nshift", tmp_path / "other"]),
        (2, ["redshift", tmp_path / "other", "--flows", "x\x1b[2J\u202e\ny"]),
    )
    for code, arguments in cases:
        done = command(SCRIPTS / "new_push.py", *arguments)
        assert done.returncode == code, done.stderr
        check_safe(done.stdout + done.stderr)
        assert "\\x1b[2J\\u202e\\n" in done.stdout + done.stderr


def test_sql_lineage_escapes_names_and_statements(tmp_path: Path) -> None:
    sql = f'INSERT INTO "x\x1b[2J\u202e\n{FORGED}" SELECT "a\x9b" FROM "b\x85\n";'
    sql += 'INSERT INTO c SELECT (( \x1b "s3cret-of-the-test"'
    done = command(SCRIPTS / "sql_lineage.py", "--dialect", "snowflake", stdin=sql)
    assert done.returncode == 1, done.stderr
    check_safe(done.stdout)
    assert done.stdout.startswith(f"insert: x\\x1b[2J\\u202e\\n{FORGED}")
    assert "s3cret" not in done.stdout
    done = command(SCRIPTS / "sql_lineage.py", "--dialect", "snowflake", "--json", stdin=sql)
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["lineage"][0]["target"] == f"x\x1b[2J\u202e\n{FORGED}"
    done = command(SCRIPTS / "sql_lineage.py", "--dialect", "hive", "no\x1b[2J\u202e\nfile", cwd=tmp_path)
    assert done.returncode == 2
    check_safe(done.stderr)


def test_the_sandbox_escapes_paths_and_settings(tmp_path: Path) -> None:
    folder = tmp_path / "x\x1b[2J\u202e\ny"
    folder.mkdir()
    wrong = {"keys": [{"id": "a", "token": "b", "scope": "E\x1b[2J\u202e\nF"}], "warehouses": []}
    for content in ("{", json.dumps(wrong)):
        (folder / "sandbox.json").write_text(content, encoding="utf-8")
        done = command(SCRIPTS / "sandbox", "--port", "0", "--data", folder)
        assert done.returncode == 2
        check_safe(done.stderr)
        assert "\\x1b[2J\\u202e\\n" in done.stderr
