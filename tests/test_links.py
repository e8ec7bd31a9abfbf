"""Every link of a page leads to a file, and to a heading in it, that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^()\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(_prose(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in set(_anchors(target))):
            broken.append(link)
    assert broken == []


def test_a_heading_is_an_anchor_as_github_makes_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# MySQL's `--max`, and *more*\n\n## Twice\n\n## Twice\n\n```\n# no heading\n```\n")
    assert list(_anchors(page)) == ["mysqls---max-and-more", "twice", "twice-1"]


def _anchors(page: Path) -> Iterator[str]:
    seen: dict[str, int] = {}
    text = _prose(page)
    for heading in re.findall(r"^#{1,6} +(.+)$", text, re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        yield f"{slug}-{count}" if count else slug
    yield from re.findall(r'<a id="([^"]+)">', text)


def _prose(page: Path) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
