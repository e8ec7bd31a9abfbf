"""HTML that nothing can be injected into: what is not markup of ours is escaped when it is put in. Pure."""

from __future__ import annotations

from html import escape

from dbambassador.printable import printable, shortened

LONGEST = 300
"""Characters of one text: a DNS name has 255 at most. What is longer helps nobody on a page."""


class Html(str):
    """Markup as it goes out."""

    __slots__ = ()


def text(value: object) -> Html:
    """What others wrote, on one line, without invisible characters, and not too long."""
    return Html(escape(printable(shortened(str(value), LONGEST))))


def said(value: object) -> Html:
    """The same, so that its letters turn the direction of nothing beside it (Unicode Standard Annex 9)."""
    return Html(f"<bdi>{text(value)}</bdi>")


def join(*parts: object) -> Html:
    """One after the other. Every part that is no markup is escaped."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts))


def element(name: str, *parts: object, **attributes: object) -> Html:
    """An element. Attributes are named as in Python: `class_`, `aria_label`. One that is None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{join(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{join(*parts)}</{name}>")
