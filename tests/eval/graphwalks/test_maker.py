import re

import pytest

from app.config import EvaluateConfig, GraphWalksConfig
from eval.graphwalks.graphs import nodes_at_depth, parents_of
from eval.graphwalks.maker import GraphWalksMaker
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
        graph, _, asked = sample.content.partition("operate on.\n")[2].partition("\nOperation:\n")
        edges = [tuple(line.split(" -> ")) for line in graph.splitlines() if " -> " in line]
        assert len(edges) == len(set(edges)) == sample.facts["num_edges"]
        node = re.search(r"node (\w+)", asked)[1]
        if sample.task == "bfs":
            assert sample.references == nodes_at_depth(edges, node, int(re.search(r"depth (\d)", asked)[1]))
        else:
            assert sample.references == parents_of(edges, node)
        assert sample.references


def test_prompts_are_full_and_have_the_tokens_of_their_text(tokenizer):
    for sample in made(tokenizer):
        assert 0.97 * 4096 < sample.num_tokens <= 4096
        assert sample.token_ids.tolist() == tokenizer.encode(tokenizer.decode(sample.token_ids.tolist()))


def test_samples_are_the_same_each_time_and_others_with_another_seed(tokenizer):
    first, again, other = (made(tokenizer, seed)[0].token_ids.tolist() for seed in (3, 3, 4))
    assert first == again != other
