"""The candidates: from the old base to 16 times the rule's, and scalings at the same factor."""

import pytest

from app.models.rope import max_tokens_of, with_rope
from app.probing.candidates import MOST_CANDIDATES, candidates_of
from tests.models.known_models import LLAMA_8B, TINY, configuration

PLAIN = TINY | {"max_position_embeddings": 8192}


def candidates(settings, to_tokens):
    config = configuration(settings)
    found = candidates_of(config, config.rope_parameters, max_tokens_of(config), to_tokens)
    return config, {each.name: each.parameters for each in found}


def test_bases_and_scalings_of_a_plain_model():
    _, found = candidates(PLAIN, 10_240)
    bases = [
        found[name]["rope_theta"] for name in ("own base", "rule", *(f"{n} x rule" for n in (2, 4, 8, 16)))
    ]
    assert bases == [1e4, *(1e4 * 1.25**2 * multiple for multiple in (1, 2, 4, 8, 16))]
    assert found["linear, factor 1.25"] == {"rope_type": "linear", "rope_theta": 1e4, "factor": 1.25}
    assert found["yarn, factor 1.25"] == {
        "rope_type": "yarn",
        "rope_theta": 1e4,
        "factor": 1.25,
        "original_max_position_embeddings": 8192,
    }
    assert len(found) == MOST_CANDIDATES


@pytest.mark.parametrize("to_tokens", [8193, 10_923, 12_288, 16_384, 100_003])
def test_all_candidates_are_served_at_the_length(to_tokens):
    config, found = candidates(PLAIN, to_tokens)
    for parameters in found.values():
        changed = with_rope(config, parameters, to_tokens)
        changed.validate_rope()
        assert max_tokens_of(changed) >= to_tokens


def test_llama_3_keeps_its_scaling_and_may_raise_its_factor():
    _, found = candidates(LLAMA_8B, 262_144)
    assert {each["rope_type"] for each in found.values()} == {"llama3"}
    assert found["llama3, factor 16"]["rope_theta"] == 500_000.0
    assert found["rule"]["rope_theta"] == 2e6
    assert len(found) <= MOST_CANDIDATES


def test_a_model_with_yarn_raises_its_factor():
    yarn = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32_768}
    _, found = candidates(TINY | {"rope_parameters": yarn}, 262_144)
    assert found["yarn, factor 8"] == yarn | {"factor": 8.0}
    # With its old factor no server reads so much.
    assert "own base" not in found


def test_a_length_that_the_model_reads_has_no_candidate_twice():
    _, found = candidates(PLAIN, 8192)
    assert "rule" not in found
    assert len({str(parameters) for parameters in found.values()}) == len(found)
