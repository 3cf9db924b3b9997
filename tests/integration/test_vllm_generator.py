"""The real vLLM with the real SmolLM2: one engine for all checks, as it takes half a minute to start."""

import asyncio
import json

import psutil
import pytest

from app.agent.llm import LlmCall, LlmError, ScoreCall
from app.agent.parsing import selection_schema
from app.agent.vllm_generator import VllmGenerator
from app.config import SamplingConfig, VllmConfig
from app.models.places import resolve_model


def user(text: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": text},)


CONFIG = VllmConfig(
    model="bundled:smollm2-135m-instruct",
    # bfloat16 flips near-ties: this capital would be another one.
    dtype="float32",
    max_model_tokens=1024,
    sampling=SamplingConfig(temperature=0.0, top_p=1.0),
    cpu_kv_cache_gib=1,
    engine_args={"enforce_eager": True},
    call_timeout_sec=120.0,
    max_engine_restarts=1,
)


def log_likelihood(call: ScoreCall) -> float:
    """The same score by transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = resolve_model(CONFIG.model)
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    rendered = tokenizer.apply_chat_template(list(call.messages), add_generation_prompt=True, tokenize=False)
    prompt, text = (tokenizer.encode(part, add_special_tokens=False) for part in (rendered, call.text))
    with torch.no_grad():
        log_probs = model(torch.tensor([prompt + text])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return float(log_probs.gather(1, torch.tensor(text)[:, None]).mean())


@pytest.mark.timeout(420)
def test_engine_answers_and_survives_bad_calls_late_calls_and_its_own_death():
    asyncio.run(check_engine())


async def check_engine() -> None:
    generate = VllmGenerator(CONFIG)
    await generate.start()
    try:
        capital = LlmCall("answer", user("What is the capital of France?"), 24, 1)
        reply = await generate(capital)
        assert "Paris" in reply.text
        assert (reply.finish_reason, reply.num_cached_tokens) == ("stop", 0)

        opened = await generate(
            LlmCall("instruction", user("Say where Paris lies."), 8, 1, opening="Paris lies")
        )
        assert opened.text.startswith("Paris lies ")
        assert (opened.finish_reason, opened.num_output_tokens) == ("length", 8)

        sources = [{"a"}, {"b"}, {"c"}]
        chosen = await generate(
            LlmCall("selection", user("Choose."), 32, 1, json_schema=selection_schema(sources))
        )
        assert set(json.loads(chosen.text)["notes"]) <= {1, 2, 3}

        long = "whale " * 600
        first, second = [
            await generate(LlmCall("summary", user(long + tail), 4, 1)) for tail in ("one", "two")
        ]
        assert second.num_cached_tokens > 0.5 * second.num_prompt_tokens, "the shared beginning is cached"
        assert first.num_cached_tokens == 0

        # Its prompt is in the prefix cache, whose tokens have no log probabilities.
        scored = ScoreCall("verification", user(long + "one"), "The whale is the largest animal.")
        for call in (scored, ScoreCall("verification", user("Say where Paris lies."), "In France.")):
            score = await generate.score(call)
            assert score.log_likelihood == pytest.approx(log_likelihood(call), abs=0.02)
            assert score.num_prompt_tokens > score.num_tokens > 2
        with pytest.raises(LlmError, match="refused by the engine"):
            await generate.score(ScoreCall("verification", user("whale " * 3000), "Whales."))

        with pytest.raises(LlmError, match="refused by the engine"):
            await generate(LlmCall("summary", user("whale " * 3000), 4, 1))

        hurried = VllmGenerator(CONFIG.model_copy(update={"call_timeout_sec": 0.01}))
        hurried._engine = generate._engine
        with pytest.raises(LlmError, match="timed out"):
            await hurried(LlmCall("answer", user("Tell a long story."), 512, 1))

        in_flight = [
            asyncio.create_task(generate(LlmCall("answer", user(f"Tell story {number}."), 200, 1)))
            for number in range(4)
        ]
        await asyncio.sleep(2)
        for process in psutil.Process().children(recursive=True):
            if "EngineCore" in " ".join(process.cmdline()):
                process.kill()
        replies = await asyncio.gather(*in_flight)
        assert all(reply.num_output_tokens > 0 for reply in replies), (
            "the next engine answers what the dead one lost"
        )
        assert "Paris" in (await generate(capital)).text
    finally:
        await generate.close()
