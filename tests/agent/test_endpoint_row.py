"""One row, its journal and a real HTTP endpoint with a fault: what is lost, and what the next start asks."""

import asyncio

import pytest

from app.agent.journal import CallJournal
from app.agent.openai_generator import OpenAiGenerator
from app.agent.workflow import Workflow
from app.config import AgentConfig, OpenAiConfig
from app.faults import UserError
from app.schema import Draft, Reject
from app.storage import Folder
from tests.integration.endpoint_double import EndpointDouble


@pytest.fixture
def make_row(seed, documents, tokenizer, tmp_path, monkeypatch):
    """`make_row(endpoint)` makes the row, with what its journal holds."""
    monkeypatch.setenv("DOUBLE_KEY", "sk-planted-0123456789")

    def make(endpoint: EndpointDouble) -> Draft | Reject:
        config = OpenAiConfig(
            model="double",
            base_url=endpoint.base_url,
            tokenizer="any",
            api_key_env="DOUBLE_KEY",
            num_retries=0,
            max_attempts=2,
        )

        async def retrieve(query, num_tokens, document_tokens):
            return documents

        async def go():
            generate = OpenAiGenerator(config)
            journal = CallJournal(Folder(str(tmp_path)), seed.seed_id)
            await journal.load()
            workflow = Workflow(AgentConfig(document_tokens=20), config, tokenizer)
            try:
                return await workflow(seed, journal.wrap(generate, lambda call: None), retrieve)
            finally:
                await generate.close()

        return asyncio.run(go())

    return make


@pytest.mark.parametrize("status", [400, 402, 410, 429, 503])
def test_a_fault_of_the_endpoint_loses_no_row_and_no_finished_call(make_row, status):
    with EndpointDouble(is_repeatable=True) as endpoint:
        endpoint.fault = lambda system, num_served: (status, "sorry, not now") if num_served >= 3 else None
        with pytest.raises(UserError, match=f"HTTP {status}: sorry, not now.*the same command resumes"):
            make_row(endpoint)
        endpoint.fault = lambda system, num_served: None
        assert isinstance(make_row(endpoint), Draft)
        asked = [call.body_hash for call in endpoint.served]
    assert len(set(asked)) == 6
    # Two of the three summaries may be under way when the third is refused, and are lost with it.
    assert len(asked) <= 8


@pytest.mark.parametrize("text", ["[" * 20_000, "<think>I never stop", '{"notes": null}'])
def test_a_reply_that_nobody_can_read_rejects_the_row_at_every_start_and_ends_no_run(make_row, text):
    with EndpointDouble(is_repeatable=True) as endpoint:
        endpoint.fault = lambda system, num_served: (200, text) if '{"notes"' in system else None
        for _ in range(2):
            row = make_row(endpoint)
            assert isinstance(row, Reject)
            assert row.step == "selection"
        assert len(endpoint.served) == 6, "a try too many or too few"


def test_fenced_json_is_a_selection(make_row):
    with EndpointDouble(is_repeatable=True) as endpoint:
        fenced = '```json\n{"notes": [1, 2, 3]}\n```'
        endpoint.fault = lambda system, num_served: (200, fenced) if '{"notes"' in system else None
        assert isinstance(make_row(endpoint), Draft)
