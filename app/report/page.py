"""The report: one HTML file with everything inside, which loads nothing from the network."""

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
from app.report.script import SCRIPT
from app.report.shell import render_shell, write_page
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
    return write_page(run.folder, REPORT_FILE, page)


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
    ]
    return render_shell(f"Longstrap run {facts.name}", parts, [SCRIPT])


def _plan(config: RunConfig) -> Plan | str:
    try:
        return make_plan(config)
    except UserError as error:
        return str(error)


def _navigation() -> Html:
    links = [element("li", element("a", title, href=f"#{anchor}")) for anchor, title in CONTENTS.items()]
    return element("nav", element("ul", *links), aria_label="Sections of this page")


def _context(facts: RunFacts) -> Html:
    if facts.evaluation is None:
        return section("context", CONTEXT, missing("No evaluation has been made yet."))
    # It has the heading itself.
    return element("div", Html(facts.evaluation), id="context")
