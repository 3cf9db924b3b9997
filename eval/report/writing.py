"""Writes the files of a report: tables, plots, `report.md`, and a section for the run's report."""

from collections.abc import Mapping
from types import MappingProxyType

from app.storage import Folder
from eval.report.contents import ReportContents
from eval.report.csv_files import niah_csv, recall_csv, ruler_means_csv, ruler_tasks_csv, short_csv
from eval.report.growth import render_growth
from eval.report.markdown import render_markdown
from eval.report.niah_heatmap import draw_niah
from eval.report.parts import NIAH_PICTURE, RULER_PICTURE, make_parts
from eval.report.ruler_curves import draw_ruler
from eval.report.section import render_section
from eval.report.tables import result_of

TITLE, SECTION_TITLE = "Evaluation", "How long the context now is"
REPORT_FILE, SECTION_FILE, HEADLINE_FILE = "report.md", "section.html", "headline.html"


def write_report(
    folder: Folder,
    contents: ReportContents,
    own_limits_tokens: Mapping[str, int | None] = MappingProxyType({}),
) -> list[str]:
    """Write all files of the suites that have results; those of an earlier report are replaced.

    Args:
        folder: Takes the files.
        contents: The results.
        own_limits_tokens: Model → the longest sequence that it is made for, where that is known.

    Returns:
        Their names.
    """
    contents = contents.measured()
    files = {name: text.encode("utf-8", "replace") for name, text in _tables(contents).items()}
    if contents.niah:
        files[NIAH_PICTURE] = draw_niah(contents.niah)
    if contents.ruler:
        base = result_of(contents.models[0], contents.ruler)
        files[RULER_PICTURE] = draw_ruler(contents.ruler, base, contents.published, contents.ruler_threshold)
    parts = make_parts(contents)
    files[REPORT_FILE] = render_markdown(TITLE, parts).encode("utf-8", "replace")
    files[SECTION_FILE] = render_section(SECTION_TITLE, parts).encode("utf-8", "replace")
    if growth := render_growth(contents.niah, own_limits_tokens):
        files[HEADLINE_FILE] = growth.encode("utf-8", "replace")
    elif folder.exists(HEADLINE_FILE):
        folder.filesystem.delete_file(folder.file(HEADLINE_FILE))
    for name, payload in files.items():
        folder.write_bytes(name, payload)
    return list(files)


def _tables(contents: ReportContents) -> dict[str, str]:
    tables = {}
    if contents.niah:
        tables["niah.csv"] = niah_csv(contents.niah)
    if contents.ruler:
        tables["ruler_tasks.csv"] = ruler_tasks_csv(contents.ruler)
        tables["ruler_means.csv"] = ruler_means_csv(contents.ruler)
    if contents.short:
        tables["short.csv"] = short_csv(contents.short)
    if contents.recall:
        tables["recall.csv"] = recall_csv(contents.recall)
    return tables
