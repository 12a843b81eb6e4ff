"""Limits how much an agent has to read, in tokens (characters / 4): of each file, and for two typical tasks.

    python -m tests.test_reading_budgets        prints the table

Template folders are discovered by their collect_metadata.py, so new ones are included automatically.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FRONTMATTER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)
SKILL, WRITING, MANIFEST, LIBRARY = (
    "SKILL.md",
    "references/writing-a-collector.md",
    "references/manifest.md",
    "references/library.md",
)
DOCUMENTS = {SKILL: 2_500, WRITING: 2_700, MANIFEST: 1_100, LIBRARY: 1_200}
USUAL = {  # files of a template folder
    "collect_metadata.py": 3_500,
    "collect_lineage.py": 4_500,
    "collect_query_logs.py": 2_000,
    "connection.py": 2_500,
}
FURTHER = 2_500  # any other module of a template folder; its README names it
SHARED = 1_000  # push scripts, collect_and_push scripts and the stub: the same in every folder
EXAMPLE = "scripts/templates/snowflake"  # the folder that writing-a-collector.md starts from


@dataclass(frozen=True)
class Reading:
    """A file, or the files that are read for one task, with their budget in tokens."""

    name: str
    paths: tuple[Path, ...]
    budget: int

    @property
    def tokens(self) -> int:
        return sum(tokens(path) for path in self.paths)

    def __str__(self) -> str:
        return f"{self.tokens:>7,} {self.budget:>7,}  {self.name}"


def tokens(path: Path) -> int:
    """Characters / 4, rounded up, without a skill's frontmatter, which an agent does not read."""
    text = path.read_text(encoding="utf-8")
    return -(-len(FRONTMATTER.sub("", text)) // 4)


def folders(root: Path) -> list[Path]:
    """The template folders. Raises AssertionError if there are none."""
    found = sorted(path.parent for path in (root / "scripts/templates").glob("*/collect_metadata.py"))
    assert found, f"no template folder below {root}"
    return found


def own_modules(folder: Path) -> list[Path]:
    """The modules that a folder does not share with the others."""
    return [path for path in sorted(folder.glob("*.py")) if not (folder.parent / "_shared" / path.name).exists()]


def files(root: Path) -> Iterator[Reading]:
    """Every file that has a budget."""
    paths = {root / name: budget for name, budget in DOCUMENTS.items()}
    paths |= dict.fromkeys(sorted((root / "scripts/templates/_shared").glob("*.py")), SHARED)
    paths |= {path: USUAL.get(path.name, FURTHER) for folder in folders(root) for path in own_modules(folder)}
    for path, budget in paths.items():
        yield Reading(path.relative_to(root).as_posix(), (path,), budget)


def tasks(root: Path) -> Iterator[Reading]:
    """The files that SKILL.md tells an agent to read to add a column of metadata, and to add a warehouse."""
    for folder in folders(root):
        paths = (root / SKILL, folder / "collect_metadata.py", root / LIBRARY)
        yield Reading(f"add a column: {folder.name}", paths, 7_500)
    example = (root / EXAMPLE / name for name in USUAL)
    yield Reading("add a warehouse", (*(root / name for name in DOCUMENTS), *example), 20_000)


def over(root: Path) -> list[str]:
    """The files and tasks over their budgets, as lines of the table."""
    return [str(each) for each in (*files(root), *tasks(root)) if each.tokens > each.budget]


def unnamed(root: Path) -> list[str]:
    """Further modules that the README of their folder does not name."""
    return [
        path.relative_to(root).as_posix()
        for folder in folders(root)
        for path in own_modules(folder)
        if path.name not in USUAL and f"`{path.name}`" not in (folder / "README.md").read_text(encoding="utf-8")
    ]


def test_everything_is_within_its_budget() -> None:
    assert over(ROOT) == []


def test_every_module_is_named_in_its_readme() -> None:
    assert unnamed(ROOT) == []


# --- the checks themselves -------------------------------------------------------------------------------


def tree(root: Path) -> Path:
    """A bundle with one folder, in which every file has exactly its maximum length."""
    sizes = DOCUMENTS | {f"{EXAMPLE}/{name}": budget for name, budget in USUAL.items()}
    sizes |= {"scripts/templates/_shared/push_metadata.py": SHARED, f"{EXAMPLE}/push_metadata.py": 1}
    for name, budget in sizes.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("ß" * (4 * budget), encoding="utf-8")
    skill = root / SKILL
    skill.write_text(f"---\nname: x\n---\n{skill.read_text(encoding='utf-8')}", encoding="utf-8")
    (root / EXAMPLE / "README.md").write_text("`named.py` is named here.", encoding="utf-8")
    return root


def test_the_budgets_of_the_files_add_up_to_those_of_the_tasks(tmp_path: Path) -> None:
    root = tree(tmp_path)
    assert (over(root), unnamed(root)) == ([], [])
    assert [each.tokens for each in tasks(root)] == [7_200, 20_000]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (SKILL, ["  2,501   2,500  SKILL.md", " 20,001  20,000  add a warehouse"]),
        (LIBRARY, ["  1,201   1,200  references/library.md", " 20,001  20,000  add a warehouse"]),
        (f"{EXAMPLE}/named.py", [f"  2,501   2,500  {EXAMPLE}/named.py"]),
        (f"{EXAMPLE}/connection.py", [f"  2,501   2,500  {EXAMPLE}/connection.py", " 20,001  20,000  add a warehouse"]),
        (
            f"{EXAMPLE}/collect_lineage.py",
            [f"  4,501   4,500  {EXAMPLE}/collect_lineage.py", " 20,001  20,000  add a warehouse"],
        ),
        (
            "scripts/templates/_shared/push_metadata.py",
            ["  1,001   1,000  scripts/templates/_shared/push_metadata.py"],
        ),
    ],
)
def test_one_character_too_many_is_noticed(name: str, expected: list[str], tmp_path: Path) -> None:
    root = tree(tmp_path)
    text = (root / name).read_text(encoding="utf-8") if (root / name).exists() else "ß" * (4 * FURTHER)
    (root / name).write_text(f"{text}ß", encoding="utf-8")
    assert over(root) == expected


def test_a_module_that_the_readme_does_not_name_is_noticed(tmp_path: Path) -> None:
    root = tree(tmp_path)
    for name in ("named.py", "unnamed.py"):
        (root / EXAMPLE / name).touch()
    assert unnamed(root) == [f"{EXAMPLE}/unnamed.py"]


def test_a_bundle_without_template_folders_is_an_error(tmp_path: Path) -> None:
    for check in (over, unnamed):
        with pytest.raises(AssertionError, match="no template folder"):
            check(tmp_path)


if __name__ == "__main__":
    print(f"{'tokens':>7} {'budget':>7}  file or task")
    for each in (*files(ROOT), *tasks(ROOT)):
        print(each)
