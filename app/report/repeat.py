"""The report's last section: everything needed to repeat the run."""

import yaml

from app.config import Config, RunConfig
from app.html import Content, Html, bytes_cell, details, element, items, missing, pairs, section, table
from app.report.reading import EVALUATION_DIR, TOKENS_DIR, RunFacts

TITLE = "How to repeat it"
RECIPE = "recipe.yaml"


def render_repeat(config: RunConfig, facts: RunFacts) -> Html:
    """Command, settings, versions, seed, fingerprints, and what is where."""
    commands = "\n".join(f"longstrap {verb} --config {RECIPE}" for verb in verbs_of(config))
    content: list[Content] = [
        element(
            "p",
            "Save the settings below as ",
            element("code", RECIPE),
            ". With another ",
            element("code", "run_dir"),
            " the same settings and seed ask for the same samples in the same order.",
        ),
        element("pre", commands, class_="command"),
        pairs([("Seed", str(config.seed)), ("Run", facts.uri)]),
        details("All settings, as they were resolved", element("pre", settings_yaml(config))),
    ]
    if facts.versions:
        rows = [[package, version] for package, version in facts.versions.items()]
        content.append(table("Versions", ["package", "version"], [], rows))
    else:
        content.append(missing("The run has no config.json, so its versions are not known."))
    if facts.fingerprints:
        rows = [
            [place, element("code", fingerprint, class_="whole")]
            for place, fingerprint in facts.fingerprints.items()
        ]
        content.append(table("Fingerprints", ["of", "fingerprint"], [], rows))
    content.append(_file_table(config, facts))
    if facts.later_rounds:
        content += [element("h3", "Later rounds"), items(map(_round, facts.later_rounds.items()))]
    return section("repeat", TITLE, *content)


def verbs_of(config: RunConfig) -> list[str]:
    """The verbs that do everything which the settings ask for."""
    if isinstance(config, Config) and config.train is not None:
        return ["bootstrap"]
    wanted = {
        "synthesize": isinstance(config, Config),
        "train": config.train is not None,
        "evaluate": config.evaluate is not None,
    }
    return [verb for verb, is_wanted in wanted.items() if is_wanted]


def settings_yaml(config: RunConfig) -> str:
    """All settings as a recipe: `longstrap --config` reads it back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def _round(found: tuple[str, bool]) -> Content:
    name, has_report = found
    title = f"Round {name.removeprefix('round')}"
    return element("a", title, href=f"{name}/report.html") if has_report else f"{title}: has no report yet"


def _file_table(config: RunConfig, facts: RunFacts) -> Html:
    contents = {
        "config.json": "settings and versions of the job that wrote last",
        "corpus": "documents, passages and rejects, Parquet",
        "index": "vectors for search, FAISS",
        "dataset": "examples and rejects, Parquet; README.md is the dataset's card",
        TOKENS_DIR: "the sources in the trained model's tokens",
    }
    for stage in facts.stages:
        contents[f"train/{stage.name}"] = "packed sequences, checkpoints, metrics.jsonl; export/ is the model"
    contents |= {
        "gates": "what each stage's gate measured",
        f"{EVALUATION_DIR}": "every question with its answer; report/ has tables and pictures as files",
        "attempts": "every start of a step, how long it took and how it ended",
    }
    rows = [
        [element("code", name), text, bytes_cell(facts.num_bytes.get(name))]
        for name, text in contents.items()
    ]
    return table("Files of the run", ["in the run's folder", "holds"], ["size"], rows)
