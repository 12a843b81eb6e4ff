"""Keep the shared files of the template folders identical: written once in snowflake/, copied to the others.

A template folder is the unit of copying, so each holds its own pushkit/, gateway.py, push_*.py and
collect_and_push_*.py. Copies are byte-identical but for the inline dependency block of collect_and_push_*.py,
which is that folder's collect script's and push script's together. Each folder's requirements.txt, for those who
install with pip, is what the blocks of all its scripts list.

    python scripts/sync_templates.py --check    exit 1 on drift, a missing or a left-over copy, or nothing to compare
    python scripts/sync_templates.py --write    make it so
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEMPLATES = Path(__file__).resolve().parent / "templates"
ORIGINAL = "snowflake"
SHARED = ("gateway.py", "push_*.py", "collect_and_push_*.py", "pushkit/*.py")
# https://packaging.python.org/en/latest/specifications/inline-script-metadata/
REQUIREMENTS = "requirements.txt"
ABOVE_REQUIREMENTS = (
    "# What the scripts of this folder list in their first lines, together (see scripts/sync_templates.py).\n"
)
BLOCK = re.compile(r"(?m)^# /// script$\n(?P<content>(?:^#(?:| .*)$\n)+?)^# ///$\n")


@dataclass(frozen=True)
class Copy:
    """A file that should stand at ``path`` with ``content``, or should not stand there (None)."""

    path: Path
    content: bytes | None


def script_block(text: str, path: Path) -> dict[str, object]:
    """The inline script metadata (PEP 723) as a table. Raises ValueError when there is none."""
    found = BLOCK.search(text)
    if found is None:
        raise ValueError(f"{path} has no inline dependency block (PEP 723)")
    lines = found["content"].splitlines()
    return tomllib.loads("\n".join(line[2:] for line in lines))


def dependencies(path: Path) -> list[str]:
    found = script_block(path.read_text(encoding="utf-8"), path).get("dependencies")
    if not isinstance(found, list) or not found:
        raise ValueError(f"{path} names no dependencies")
    return [str(each) for each in found]


def with_dependencies(text: str, wanted: list[str]) -> str:
    listed = "".join(f'#     "{each}",\n' for each in wanted)
    block = f'# /// script\n# requires-python = ">=3.10"\n# dependencies = [\n{listed}# ]\n# ///\n'
    return BLOCK.sub(lambda found: block, text, count=1)


def requirements(folder: Path) -> Copy:
    """What all scripts of a folder need: collect_and_push_*.py need no more than the other two kinds together."""
    scripts = [*sorted(folder.glob("collect_*.py")), *sorted(folder.glob("push_*.py"))]
    listed = [each for path in scripts if not path.name.startswith("collect_and_") for each in dependencies(path)]
    content = ABOVE_REQUIREMENTS + "".join(f"{each}\n" for each in dict.fromkeys(listed))
    return Copy(folder / REQUIREMENTS, content.encode("utf-8"))


def originals(templates: Path) -> list[Path]:
    return sorted(path for pattern in SHARED for path in (templates / ORIGINAL).glob(pattern))


def expected(templates: Path, folder: Path) -> Iterator[Copy]:
    """The shared files as they should stand in a folder; lineage scripts only where lineage is collected."""
    for original in originals(templates):
        name = original.relative_to(templates / ORIGINAL)
        flow = re.fullmatch(r"(?:collect_and_)?push_(\w+)\.py", name.name)
        if flow and not (folder / f"collect_{flow[1]}.py").exists():
            continue
        content = original.read_bytes()
        if name.name.startswith("collect_and_push_") and flow:
            collect, push = folder / f"collect_{flow[1]}.py", templates / ORIGINAL / f"push_{flow[1]}.py"
            union = list(dict.fromkeys(dependencies(collect) + dependencies(push)))
            content = with_dependencies(content.decode("utf-8"), union).encode("utf-8")
        yield Copy(folder / name, content)


def without_origin(templates: Path) -> list[Path]:
    """Originals whose first line does not say where the original lives: their copies could not say it either."""
    return [
        path
        for path in originals(templates)
        if path.relative_to(templates).as_posix() not in path.read_text(encoding="utf-8").partition("\n")[0]
    ]


def left_over(templates: Path, folder: Path, wanted: list[Copy]) -> list[Path]:
    """Files in a folder that look shared but have no original any more."""
    names = {copy.path for copy in wanted}
    found = {path for pattern in SHARED for path in folder.glob(pattern)}
    return sorted(found - names)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="report, change nothing")
    mode.add_argument("--write", action="store_true", help="write the copies, remove left-over ones")
    parser.add_argument("--templates", type=Path, default=TEMPLATES, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    folders = sorted(path for path in arguments.templates.iterdir() if path.is_dir() and any(path.glob("*.py")))
    compared, wrong = 0, []
    for folder in folders:
        wanted = list(expected(arguments.templates, folder))
        wrong += [copy for copy in wanted if not copy.path.exists() or copy.path.read_bytes() != copy.content]
        stale = left_over(arguments.templates, folder, wanted)
        wrong += [Copy(path, None) for path in stale]
        listed = requirements(folder)
        if not listed.path.exists() or listed.path.read_bytes() != listed.content:
            wrong.append(listed)
        compared += len(wanted) if folder.name != ORIGINAL else 0
    if not compared:
        print(f"nothing to compare: no folder beside {ORIGINAL}/ holds scripts", file=sys.stderr)
        return 1
    nameless = without_origin(arguments.templates)
    for path in nameless:
        print(f"{path.relative_to(arguments.templates)}: the first line does not name the original", file=sys.stderr)
    for copy in wrong:
        if arguments.write:
            _write(copy)
        verb = "written" if arguments.write else "differs, is missing or is left over"
        print(f"{copy.path.relative_to(arguments.templates)}: {verb}", file=sys.stderr)
    print(f"{compared} copies in {len(folders) - 1} folders compared, {len(wrong)} out of step", file=sys.stderr)
    return 1 if nameless or (wrong and not arguments.write) else 0


def _write(copy: Copy) -> None:
    if copy.content is None:
        copy.path.unlink()
        return
    copy.path.parent.mkdir(parents=True, exist_ok=True)
    copy.path.write_bytes(copy.content)


if __name__ == "__main__":
    sys.exit(main())
