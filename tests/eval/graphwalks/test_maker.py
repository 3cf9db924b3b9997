import random
import re

import pytest

from app.config import EvaluateConfig, GraphWalksConfig
from eval.graphwalks.graphs import draw_edges, node_name, nodes_at_depth, parents_of
from eval.graphwalks.maker import CLOSING, OPENING, PARENTS, GraphWalksMaker
from tests.eval.prompt_tokenizers import digit_groups

EDGES = [("uvwx", "alke"), ("abcd", "uvwx"), ("abcd", "efgh"), ("efgh", "uvwx")]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return digit_groups(tmp_path_factory.mktemp("tokenizer"))


def made(tokenizer, seed=3):
    settings = GraphWalksConfig(lengths_tokens=[4096], num_samples=3, max_output_tokens=256)
    maker = GraphWalksMaker(EvaluateConfig(graphwalks=settings), tokenizer, seed)
    return [maker.make(slot) for slot in maker.slots()]


def test_the_cards_example_has_the_cards_answers():
    assert nodes_at_depth(EDGES, "abcd", 1) == ["efgh", "uvwx"]
    # uvwx is nearer than two edges.
    assert nodes_at_depth(EDGES, "abcd", 2) == ["alke"]
    assert parents_of(EDGES, "uvwx") == ["abcd", "efgh"]


def test_answers_are_those_of_the_graph_in_the_prompt(tokenizer):
    for sample in made(tokenizer):
        graph, _, asked = sample.content.partition("operate on:\n")[2].partition("\n\nOperation:\n")
        edges = [tuple(line.split(" -> ")) for line in graph.splitlines() if " -> " in line]
        assert len(edges) == sample.facts["num_edges"]
        node = re.search(r"node (\w+)", asked)[1]
        if sample.task == "bfs":
            assert sample.references == nodes_at_depth(edges, node, int(re.search(r"depth (\d)", asked)[1]))
        else:
            assert sample.references == parents_of(edges, node)
        assert sample.references


def test_the_prompt_has_the_characters_of_a_published_one():
    # A row of openai/graphwalks: 11 nodes, four edges from each, prompt_chars 2,638.
    targets = "0 6 2 1 8 9 3 8 9 3 3 8 10 10 4 1 6 3 0 5 1 6 6 9 7 7 5 4 9 5 7 0 3 0 3 7 0 6 4 4 7 10 9 5"
    edges = [(node_name(place // 4), node_name(int(target))) for place, target in enumerate(targets.split())]
    listed = "".join(f"{source} -> {target}\n" for source, target in edges)
    prompt = OPENING + listed + CLOSING.format(operation=PARENTS.format(node=node_name(7)))
    assert len(prompt) == 2638
    assert listed.startswith("cfcd208495 -> cfcd208495\ncfcd208495 -> 1679091c5a\n")
    assert parents_of(edges, "8f14e45fce") == ["1679091c5a", "c9f0f895fb", "d3d9446802"]


def test_graphs_have_the_form_of_the_published_one():
    edges = draw_edges(random.Random(3), 400)
    assert [source for source, _ in edges] == [node_name(place // 4) for place in range(400)]
    assert {target for _, target in edges} <= {node_name(number) for number in range(100)}
    assert edges == draw_edges(random.Random(3), 400)


def test_prompts_are_full_and_have_the_tokens_of_their_text(tokenizer):
    for sample in made(tokenizer):
        assert 0.97 * 4096 < sample.num_tokens <= 4096
        assert sample.token_ids.tolist() == tokenizer.encode(tokenizer.decode(sample.token_ids.tolist()))


def test_samples_are_the_same_each_time_and_others_with_another_seed(tokenizer):
    first, again, other = (made(tokenizer, seed)[0].token_ids.tolist() for seed in (3, 3, 4))
    assert first == again != other
