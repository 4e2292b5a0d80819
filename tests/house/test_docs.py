"""What the pages say is there: links, headings, settings, and the pages that are made from the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.reference import COMMAND, FOLDER, build_pages
from tests.house.sources import ALL, ROOT, find_modules, find_pages, name_file
from worker.settings import describe_settings

PAGES = find_pages()
DOCS = ROOT / "docs"
TEST_VARIABLES = {
    "ZAPTIK_TEST_BACKEND",
    "ZAPTIK_TEST_BROWSER",
    "ZAPTIK_TEST_IMAGE",
    "ZAPTIK_TEST_POOLER",
    "ZAPTIK_TEST_POSTGRES",
    "ZAPTIK_TEST_PROFILE",
    "ZAPTIK_TEST_PROMTOOL",
    "ZAPTIK_TEST_RECORDS",
    "ZAPTIK_TEST_REDIS_IMAGE",
}
LONGEST_ADR = 30


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text)


def read_links(page: Path) -> list[tuple[Path, str]]:
    """Give the links of a page to files of the project: the file and the heading's anchor."""
    found = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8")))
    local = [link for link in found if "://" not in link and not link.startswith("mailto:")]
    parts = [link.partition("#") for link in local]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in parts]


def read_headings(page: Path) -> list[str]:
    return re.findall(r"(?m)^#{1,6} (.+?)\s*$", without_code(page.read_text("utf-8")))


def build_anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sources() -> Iterator[Path]:
    yield from find_modules(*ALL)
    yield from (ROOT / "schema").rglob("*.sql")
    yield from (ROOT / name for name in ("Makefile", "pyproject.toml", ".ci/run"))


@pytest.mark.parametrize("page", PAGES, ids=name_file)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = [
        f"{path}#{anchor}"
        for path, anchor in read_links(page)
        if not path.exists()
        or not path.is_relative_to(ROOT)
        or (anchor and anchor not in map(build_anchor, read_headings(path)))
    ]
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            waiting += [path for path, _ in read_links(page)]
    assert set(PAGES) - reached == set()


def test_the_map_of_the_docs_lists_every_page_or_leads_to_the_page_that_does() -> None:
    linked = {path for path, _ in read_links(DOCS / "README.md")}
    for folder, index in (("adr", "explanation/architecture.md"), ("runbooks", "reference/alerts.md")):
        linked |= {path for path, _ in read_links(DOCS / index) if path.parent == DOCS / folder}
    missing = sorted(name_file(path) for path in set(DOCS.rglob("*.md")) - linked - {DOCS / "README.md"})
    assert missing == [], "docs/README.md has no row for it"


def test_the_map_of_the_docs_names_each_room() -> None:
    text = (DOCS / "README.md").read_text("utf-8")
    rooms = {path.name for path in (ROOT / "worker").iterdir() if (path / "__init__.py").is_file()}
    assert [room for room in rooms if f"`{room}/`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=name_file)
def test_every_file_of_ours_that_a_page_names_is_there(page: Path) -> None:
    spans = re.findall(r"`([^`\n]+)`", without_code(page.read_text("utf-8")))
    paths = {span for span in spans if re.fullmatch(r"(?:jobs|worker|schema|ops|tests|docs)/[\w/.*-]*", span)}
    names = {span for span in spans if re.fullmatch(r"[a-z_]+\.(?:py|sql)", span)}
    assert {path for path in paths if not list(ROOT.glob(path.rstrip("/")))} == set()
    assert names - {path.name for path in sources()} == set()


def test_every_page_that_the_code_names_is_there() -> None:
    named = {
        (name_file(path), page)
        for path in sources()
        for page in re.findall(r"docs/[\w/-]+\.md", path.read_text("utf-8"))
    }
    assert named
    assert {(by, page) for by, page in named if not (ROOT / page).is_file()} == set()


def test_every_heading_that_the_code_names_is_there() -> None:
    named = {
        (page, heading)
        for path in sources()
        for page, heading in re.findall(r'(docs/[\w/-]+\.md)`?,\s+"([^"]+)"', path.read_text("utf-8"))
    }
    assert named
    missing = {(page, heading) for page, heading in named if heading not in read_headings(ROOT / page)}
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=name_file)
def test_a_page_names_no_variable_that_is_no_setting(page: Path) -> None:
    known = {row.variable for row in describe_settings()} | TEST_VARIABLES
    named = set(re.findall(r"\bZAPTIK_[A-Z_]*[A-Z]\b", page.read_text("utf-8")))
    assert named - known == set()


def test_the_variables_of_the_tests_are_documented() -> None:
    named = {
        variable
        for path in find_modules("tests")
        for variable in re.findall(r'= "(ZAPTIK_TEST_[A-Z_]+)"', path.read_text("utf-8"))
    }
    assert named == TEST_VARIABLES
    text = (ROOT / "docs" / "how-to" / "develop.md").read_text("utf-8")
    assert [variable for variable in named if f"`{variable}`" not in text] == []


@pytest.mark.parametrize(("name", "text"), build_pages().items(), ids=lambda given: given.partition("\n")[0])
def test_a_generated_page_is_what_the_code_says(name: str, text: str) -> None:
    committed = (FOLDER / name).read_text("utf-8")
    assert committed == text, f"docs/reference/{name} is not what the code says: run `{COMMAND}`"
    assert committed.startswith("<!-- Generated by ")


def test_an_adr_is_short_and_they_are_numbered_without_a_gap() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for number, page in zip(numbers, pages, strict=True):
        lines = page.read_text("utf-8").splitlines()
        assert lines[0].startswith(f"# {number}. ")
        assert len(lines) <= LONGEST_ADR, page.name


def test_the_glossary_has_each_word_once_in_order() -> None:
    words = re.findall(r"(?m)^\*\*(.+?)\.\*\*", (ROOT / "docs/glossary.md").read_text("utf-8"))
    assert words == sorted(set(words), key=str.lower)
