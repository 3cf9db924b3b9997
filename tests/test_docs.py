"""The guides against the code: links, recipes, verbs, commands, settings and numbers that they name are there."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from app.cli import OTHER_HELP, parse_command
from app.config import Config
from app.jobs import JOBS
from app.planning.plan import make_plan
from app.planning.tables import render_plan
from app.recipe import RECIPES_DIR, config_of, load_config
from eval.ruler.published import PUBLISHED

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
RESULTS = ROOT / "benchmarks" / "results"
THE_READERS_OWN = ("my.yaml", "mine.yaml", "RECIPE")
"""Recipes that guides tell to write."""
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECTIONS = tuple(name for name in Config.model_fields if name not in ("run_dir", "seed"))


def ids(page: Path) -> str:
    return page.name


def heading_anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in plain}


def code_blocks(text: str) -> Iterator[str]:
    """Fenced and indented blocks, but for YAML."""
    for language, block in FENCED.findall(text):
        if language != "yaml":
            yield block
    yield from re.findall(r"(?:^    .*\n?)+", FENCED.sub("", text), re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """Calls of `longstrap` in a page's code, as lists of arguments; what is optional is given."""
    for block in code_blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r" *(?:\.venv/bin/)?longstrap (?P<arguments>.*)", line)
            if found:
                given = re.sub(
                    r"\[(--[^\]]+)\]", r"\1", found["arguments"].replace("[--section.field VALUE ...]", "")
                )
                yield shlex.split(given, comments=True)


def is_setting(place: Any, names: list[str]) -> bool:
    """Whether dotted names lead to a setting; any key of a mapping and any item of a list will do."""
    if not names:
        return True
    if isinstance(place, type) and issubclass(place, BaseModel):
        field = place.model_fields.get(names[0])
        return field is not None and is_setting(field.annotation, names[1:])
    if get_origin(place) is dict:
        return is_setting(get_args(place)[1], names[1:])
    if get_origin(place) is list:
        return is_setting(get_args(place)[0], names[1:])
    # Unions, and what is annotated.
    return place is Any or any(is_setting(choice, names) for choice in get_args(place))


def settings_in(value: Any, before: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Dotted names of all leaves of a mapping that a page shows."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from settings_in(inner, (*before, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from settings_in(inner, (*before, "0"))
    else:
        yield list(before)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page):
    text = page.read_text("utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        if path.startswith(("http://", "https://", "mailto:")):
            continue
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in heading_anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_named_reference_of_a_link_is_defined(page):
    text = page.read_text("utf-8")
    text = FENCED.sub("", text)
    defined = set(re.findall(r"^\[([^\]]+)\]: \S+", text, re.MULTILINE))
    prose = re.sub(r"`[^`]*`|^    .*$", "", text, flags=re.MULTILINE)
    used = set(re.findall(r"\[([^\]\n]+)\](?![(\[:])", prose))
    assert used <= defined


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_verb_and_recipe_is_there(page):
    text = page.read_text("utf-8")
    code = "\n".join([*code_blocks(text), *re.findall(r"`([^`\n]+)`", text)])
    # `longstrap` alone is the project, and its options are not verbs.
    verbs = set(re.findall(r"\blongstrap ([a-z][a-z-]*)\b(?! *&&)", code)) | set(
        re.findall(r"ray_jobs\.(\w+) --", code)
    )
    assert verbs <= {*JOBS, *OTHER_HELP}
    recipes = set(re.findall(r"--config ([\w.]+)", code))
    assert all((RECIPES_DIR / name).is_file() for name in recipes if name not in THE_READERS_OWN)
    assert all(
        path.is_file()
        for path in map(ROOT.joinpath, re.findall(r"ray_jobs/[\w/.-]+\.\w+", text))
        if path.name not in THE_READERS_OWN
    )


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_is_understood(page):
    for arguments in commands(page.read_text("utf-8")):
        if arguments[0].startswith("-") or arguments[0] == "VERB" or "--help" in arguments:
            continue
        if arguments[0] == "status":
            assert len(arguments) == 2, arguments
            continue
        command = parse_command(arguments)
        if command.recipe is None:
            config_of(command.overrides)
        elif command.recipe not in THE_READERS_OWN:
            load_config(command.recipe, command.overrides)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_setting_is_one(page):
    text = page.read_text("utf-8")
    names = re.findall(rf"(?:`|--)(?!ray\.data)((?:{'|'.join(SECTIONS)})(?:\.[\w]+)+)\b(?!/)", text)
    names = [
        name.split(".") for name in names if name.split(".")[-1] not in ("py", "yaml", "json", "md", "html")
    ]
    for language, block in FENCED.findall(text):
        if language == "yaml":
            names += settings_in(yaml.safe_load(block))
    assert [".".join(name) for name in names if not is_setting(Config, name)] == []


@pytest.mark.parametrize(
    ("page", "least"), [("docs/recipes.md", 10), ("docs/own_documents.md", 15), ("docs/jobs.md", 10)]
)
def test_settings_are_looked_for(page, least):
    text = (ROOT / page).read_text("utf-8")
    assert len(re.findall(rf"(?:`|--)(?:{'|'.join(SECTIONS)})\.", text)) + text.count("```yaml") >= least


def test_a_setting_that_is_none_is_seen():
    assert is_setting(Config, ["serve", "models", "m", "model"])
    assert is_setting(Config, ["train", "stages", "0", "rope_theta"])
    assert is_setting(Config, ["generator", "base_url"])
    assert not is_setting(Config, ["generator", "base_uri"])
    assert not is_setting(Config, ["train", "stages", "0", "theta"])


def shown_figures(text: str) -> Iterator[tuple[str, str, float, int]]:
    """Rows `| words | figure | number |`: the results file linked before, the figure, its value, decimals shown."""
    file = ""
    for line in text.splitlines():
        linked = re.match(r"\[(\w+\.json)\]\(\.\./benchmarks/results/", line)
        file = linked[1] if linked else file
        row = re.fullmatch(r"\| .* \| `(\w+)` \| ([\d.]+)( %)? \|", line)
        if row:
            decimals = len(row[2].partition(".")[2])
            yield file, row[1], float(row[2]) / (100 if row[3] else 1), decimals + (2 if row[3] else 0)


def test_the_results_are_those_of_the_files():
    rows = list(shown_figures((ROOT / "docs" / "results.md").read_text("utf-8")))
    seen = {}
    for file, name, shown, decimals in rows:
        figure = json.loads((RESULTS / file).read_text())["figures"][name]
        assert shown == pytest.approx(figure, abs=0.5001 * 10**-decimals), (file, name)
        seen.setdefault(file, set()).add(name)
    assert len(seen) >= 4
    for file, names in seen.items():
        assert names == set(json.loads((RESULTS / file).read_text())["figures"]), file


def assert_shown(text: str, words: str, values: list[float], decimals: int, between: str) -> None:
    """That a table has a row of these words which ends in these values, rounded."""
    row = re.search(rf"^\| .*{re.escape(words)}.* \| (.*) \|$", text, re.MULTILINE)
    assert row is not None, words
    shown = [float(number.strip(" %")) for number in row[1].split(between)]
    assert shown == pytest.approx(values, abs=0.5001 * 10**-decimals), words


def test_the_front_pages_numbers_are_those_of_the_files():
    text = (ROOT / "README.md").read_text("utf-8")
    extension, training, evaluation = (
        json.loads((RESULTS / f"{name}.json").read_text())["figures"]
        for name in ("extension", "training", "evaluation")
    )
    retrieved = [100 * extension[f"accuracy_{name}_8x"] for name in ("base", "rope_only", "one_step")]
    memory = [training["memory_over_ideal_sp2"], training["memory_over_ideal_sp4"]]
    assert_shown(text, "a 2.9M model", retrieved, 0, ",")
    assert_shown(text, "activation memory", memory, 2, ",")
    assert_shown(text, "longest sequence", [training["longest_sequence_ratio"]], 0, ",")
    assert_shown(text, "RULER sample", [evaluation["ruler_speedup_over_reference_128k"]], 0, ",")


def test_the_extension_table_is_that_of_its_file():
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    measured = json.loads((RESULTS / "extension.json").read_text())["measured"]["accuracy"]
    for name, accuracy in measured.items():
        row = re.search(rf"^\| `{name}`: [^|]* \| (.*) \|$", text, re.MULTILINE)
        assert row is not None, name
        shown = [float(number) for number in row[1].split(" | ")]
        assert shown == pytest.approx([100 * value for value in accuracy.values()], abs=0.05001), name


def test_the_published_scores_are_those_that_the_report_shows():
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    lengths = [4096 * 2**doubling for doubling in range(9)]
    for row in PUBLISHED:
        cells = "".join(f" {row.means[length]} |" if length in row.means else " |" for length in lengths)
        assert f"\n| {row.model} |{cells} [" in text, row
    assert text.count("\n| ") >= len(PUBLISHED)


@pytest.mark.parametrize("recipe", ["llama3_8b_512k_node"])
def test_a_shown_plan_is_what_the_code_says(recipe):
    text = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    shown = re.search(
        rf"<!-- plan of {recipe}: begin -->\n```\n(.*?)\n```\n<!-- plan of {recipe}: end -->", text, re.DOTALL
    )
    assert shown is not None
    assert shown[1] == render_plan(make_plan(load_config(recipe))).strip(), (
        f"longstrap plan --config {recipe}.yaml"
    )
