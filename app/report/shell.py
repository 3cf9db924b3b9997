"""What all pages are made of: one HTML file with everything inside, which loads nothing and runs nothing else."""

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from app.html import Content, Html, element, joined
from app.report.style import STYLE
from app.storage import Folder

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts}; base-uri 'none'; "
    "form-action 'none'"
)
_LOGIN = re.compile(r"://[^/\s@\"'<>]+@")


def render_shell(title: str, content: Sequence[Content], scripts: Sequence[str]) -> str:
    """A whole page.

    Args:
        title: Of its tab.
        content: What stands in the body.
        scripts: Programs that may run in it, and no others.
    """
    parts = [*content, *(Html(f"<script>{script}</script>") for script in scripts)]
    body = element("body", "\n", joined(parts, "\n"), "\n")
    page = f'<!DOCTYPE html>\n<html lang="en">\n{_head(title, scripts)}\n{body}\n</html>\n'
    # Whatever a setting or a document has: a page that is passed on carries no login.
    return _LOGIN.sub("://…@", page)


def write_page(folder: Folder, name: str, page: str) -> str:
    """Write a page, whole or not at all; an earlier one is replaced.

    Returns:
        Where it is.
    """
    # Documents may hold halves of surrogate pairs, which no file can.
    folder.write_bytes(name, page.encode("utf-8", "replace"))
    return (folder / name).uri


def _head(title: str, scripts: Sequence[str]) -> Html:
    policy = POLICY.format(scripts=" ".join(map(_source, scripts)))
    lines = [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="referrer" content="no-referrer">'),
        # A browser asks a server for an icon where the page has none.
        Html('<link rel="icon" href="data:,">'),
        element("title", title),
        Html(f"<style>{STYLE}</style>"),
    ]
    return element("head", "\n", joined(lines, "\n"), "\n")


def _source(script: str) -> str:
    """A script's place in a Content-Security-Policy: its hash, so that nothing else runs."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode('ascii')}'"
