"""A table as a screen reader wants it: with a caption, and heads of columns and rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbambassador.observability.page.markup import Html, element


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], marks: Sequence[str] = ()
) -> Html:
    """
    Args:
      rows: cells; the first of each is its head.
      marks: a class for each row.
    """
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(
                element("td", element("span", cell), data_head=heads[place])
                for place, cell in enumerate(row[1:], 1)
            ),
            class_=marks[number] if marks else None,
        )
        for number, row in enumerate(rows)
    ]
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll")
