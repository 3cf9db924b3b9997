"""Writes the files of a report: tables, plots, `report.md`, and a section for the run's report."""

from collections.abc import Sequence

from app.html import Html
from app.storage import Folder
from eval.report.markdown import render_markdown
from eval.report.parts import Part
from eval.report.section import render_section

TITLE, SECTION_TITLE = "Evaluation", "How long the context now is"
REPORT_FILE, SECTION_FILE, HEADLINE_FILE = "report.md", "section.html", "headline.html"


def write_report(folder: Folder, parts: Sequence[Part], headline: Html | None = None) -> list[str]:
    """Write all files of the suites that have results; those of an earlier report are replaced.

    Args:
        folder: Takes the files.
        parts: What the suites show.
        headline: For the top of the run's report, where models are compared.

    Returns:
        Their names.
    """
    files = {name: text.encode("utf-8", "replace") for part in parts for name, text in part.csv_files.items()}
    for part in parts:
        if part.file is not None and part.draw_file is not None:
            files[part.file] = part.draw_file()
    files[REPORT_FILE] = render_markdown(TITLE, parts).encode("utf-8", "replace")
    files[SECTION_FILE] = render_section(SECTION_TITLE, parts).encode("utf-8", "replace")
    if headline is not None:
        files[HEADLINE_FILE] = headline.encode("utf-8", "replace")
    elif folder.exists(HEADLINE_FILE):
        folder.filesystem.delete_file(folder.file(HEADLINE_FILE))
    for name, payload in files.items():
        folder.write_bytes(name, payload)
    return list(files)
