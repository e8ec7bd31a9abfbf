"""The style and the script of the status page, and the policy that lets a browser use these two alone."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class PageFiles:
    style: str
    script: str

    @property
    def policy(self) -> str:
        """Content-Security-Policy (CSP level 3): nothing runs or is shown but this script and this style,
        whatever a hostile name would put into the page, and nobody but this ambassador is spoken to."""
        return "; ".join(
            (
                "default-src 'none'",
                f"script-src '{_hash(self.script)}'",
                f"style-src '{_hash(self.style)}'",
                "img-src data:",  # the tab's icon
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",  # in another page's frame it could be clicked unseen
            )
        )


@cache
def page_files() -> PageFiles:
    """Read once, when somebody first looks."""
    here = resources.files("dbambassador.observability.page")
    return PageFiles((here / "page.css").read_text("utf-8"), (here / "page.js").read_text("utf-8"))


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
