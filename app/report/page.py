"""The report: one HTML file with everything inside, which loads nothing from the network."""

import re

from app.config import RunConfig
from app.faults import UserError
from app.html import Html, element, joined, missing, section
from app.planning.plan import make_plan
from app.planning.steps import Plan
from app.report.asked import TITLE as ASKED
from app.report.asked import render_asked
from app.report.cost import TITLE as COST
from app.report.cost import render_cost
from app.report.gates import TITLE as GATES
from app.report.gates import render_gates
from app.report.made import TITLE as MADE
from app.report.made import render_made
from app.report.reading import RunFacts, read_facts
from app.report.repeat import TITLE as REPEAT
from app.report.repeat import render_repeat
from app.report.script import SCRIPT, script_source
from app.report.style import STYLE
from app.report.summary import render_summary
from app.report.trained import TITLE as TRAINED
from app.report.trained import render_trained
from app.run import REPORT_FILE, Run

CONTEXT = "How long the context now is"
CONTENTS = {
    "asked": ASKED,
    "made": MADE,
    "trained": TRAINED,
    "gates": GATES,
    "context": CONTEXT,
    "cost": COST,
    "repeat": REPEAT,
}
"""Anchor of each section → its title, in their order."""
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {script}; base-uri 'none'; "
    "form-action 'none'"
)
_LOGIN = re.compile(r"://[^/\s@\"'<>]+@")


def write_report(config: RunConfig, run: Run) -> str:
    """Write the report of a run, however far it is; an earlier one is replaced.

    Args:
        config: The run's settings.
        run: The run folder.

    Returns:
        Where the report is.
    """
    facts = read_facts(config, run)
    page = render_page(config, facts, _plan(config))
    # Documents may hold halves of surrogate pairs, which no file can.
    run.folder.write_bytes(REPORT_FILE, page.encode("utf-8", "replace"))
    return (run.folder / REPORT_FILE).uri


def render_page(config: RunConfig, facts: RunFacts, plan: Plan | str) -> str:
    """The whole page.

    Args:
        config: The run's settings.
        facts: What its folder holds.
        plan: Plan of the same settings, or the reason why there is none.
    """
    sections = [
        render_asked(config),
        render_made(config, facts),
        render_trained(facts),
        render_gates(config.bootstrap.gate, facts),
        _context(facts),
        render_cost(config, facts, plan),
        render_repeat(config, facts),
    ]
    parts = [
        render_summary(config, facts, plan),
        _navigation(),
        element("main", "\n", joined(sections, "\n"), "\n"),
        element("footer", "One file with everything inside: it can be sent, kept and printed as it is."),
        Html(f"<script>{SCRIPT}</script>"),
    ]
    body = element("body", "\n", joined(parts, "\n"), "\n")
    page = f'<!DOCTYPE html>\n<html lang="en">\n{_head(facts.name)}\n{body}\n</html>\n'
    # Whatever a setting or a document has: a page that is passed on carries no login.
    return _LOGIN.sub("://…@", page)


def _plan(config: RunConfig) -> Plan | str:
    try:
        return make_plan(config)
    except UserError as error:
        return str(error)


def _head(name: str) -> Html:
    policy = POLICY.format(script=script_source())
    lines = [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="referrer" content="no-referrer">'),
        # A browser asks a server for an icon where the page has none.
        Html('<link rel="icon" href="data:,">'),
        element("title", f"Longstrap run {name}"),
        Html(f"<style>{STYLE}</style>"),
    ]
    return element("head", "\n", joined(lines, "\n"), "\n")


def _navigation() -> Html:
    links = [element("li", element("a", title, href=f"#{anchor}")) for anchor, title in CONTENTS.items()]
    return element("nav", element("ul", *links), aria_label="Sections of this page")


def _context(facts: RunFacts) -> Html:
    if facts.evaluation is None:
        return section("context", CONTEXT, missing("No evaluation has been made yet."))
    # It has the heading itself.
    return element("div", Html(facts.evaluation), id="context")
