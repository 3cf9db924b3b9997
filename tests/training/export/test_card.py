import re
from dataclasses import replace

import pytest
import yaml

from app.records.training import SourceFacts, StageFacts
from app.training.export.card import CardFacts, render_card, summarize_losses

FIRST = StageFacts(
    name="256k",
    max_seq_tokens=262_144,
    rope_parameters={"rope_type": "default", "rope_theta": 2e8},
    mix={"long_input": 3.0, "short": 1.0},
    num_tokens=52_428_800,
    learning_rate=1e-5,
    losses=[2.5, *[2.0] * 17, 1.0, 0.5],
)
SECOND = FIRST.model_copy(
    update={
        "name": "512k",
        "max_seq_tokens": 524_288,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 5e5,
            "factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    }
)
FACTS = CardFacts(
    name="llama-512k",
    base_model="meta-llama/Llama-3.2-1B-Instruct",
    base_revision="abc123",
    base_max_tokens=131_072,
    base_card={},
    dtype="bfloat16",
    stages=[FIRST, SECOND],
    sources=[
        SourceFacts(name="long_input", origin="runs/a/dataset", num_tokens=1_234_567),
        SourceFacts(name="short", origin="s3://b/chats", num_tokens=89),
    ],
    versions={"torch": "2.13.0", "transformers": "5.17.0"},
)


def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_the_front_matter_names_the_base_and_leaves_the_licence_to_it():
    matter = front_matter(render_card(FACTS))
    assert matter["base_model"] == "meta-llama/Llama-3.2-1B-Instruct"
    assert matter["library_name"] == "transformers"
    assert "long-context" in matter["tags"]
    assert "license" not in matter


LICENCE = {"license": "other", "license_name": "llama3.2", "license_link": "LICENSE"}


def test_the_licence_is_that_of_the_base():
    matter = front_matter(
        render_card(replace(FACTS, base_card=LICENCE | {"base_model": "some/one", "tags": ["x"]}))
    )
    assert LICENCE.items() <= matter.items()
    assert matter["base_model"] == "meta-llama/Llama-3.2-1B-Instruct"
    assert "x" not in matter["tags"]


def test_of_a_folder_the_base_is_what_its_card_names():
    card = render_card(replace(FACTS, base_model="/models/a", base_card={"base_model": "some/one"}))
    assert front_matter(card)["base_model"] == "some/one"


@pytest.mark.parametrize(
    "path", ["/models/a", "~/a", "./models/a", "s3://bucket/a", "bundled:smollm2-135m-instruct", "runs/a/b"]
)
def test_a_base_that_is_no_name_on_the_hub_is_in_the_text_only(path):
    card = render_card(replace(FACTS, base_model=path))
    assert "base_model" not in front_matter(card)
    assert f"`{path}`" in card


def test_every_stage_has_a_row_with_its_numbers():
    lines = [re.sub(" +", " ", line) for line in render_card(FACTS).splitlines()]
    assert "| 256k | long_input 75%, short 25% | 262,144 | 200,000,000 | 20 | 52,428,800 | 1e-05 |" in lines
    assert "| 512k | long_input 75%, short 25% | 524,288 | 500,000 | 20 | 52,428,800 | 1e-05 |" in lines
    assert "| 256k | 2.5000 | 0.5000 | 0.7500 |" in lines


def test_the_text_tells_lengths_data_rope_and_versions():
    card = render_card(FACTS)
    assert "extended from 131,072 to 524,288 tokens" in card
    assert "at `abc123`" in card
    assert re.search(r"\| long_input +\| `runs/a/dataset` +\| 1,234,567 \|", card)
    assert "  original_max_position_embeddings: 8192" in card
    assert re.search(r"\| torch +\| +2.13.0 \|", card)
    assert "That of the base model, `meta-llama/Llama-3.2-1B-Instruct`, holds" in card


def test_tables_have_as_many_cells_in_every_row():
    block = []
    for line in [*render_card(FACTS).splitlines(), ""]:
        if line.startswith("|"):
            block.append(line.count("|"))
        elif block:
            assert len(set(block)) == 1
            block = []


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3.0], (3.0, 3.0, 3.0)),
        ([3.0, 1.0], (3.0, 1.0, 1.0)),
        ([9.0] * 28 + [3.0, 2.0, 1.0], (9.0, 1.0, 2.0)),
    ],
)
def test_losses_are_summed_up(losses, expected):
    assert summarize_losses(losses) == expected
