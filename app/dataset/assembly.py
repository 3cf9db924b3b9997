"""Draft → training example of exactly the seed's length, in the trained model's tokens, chat template included.

The instruction stands after the documents. Long-context chat models are asked that way (RULER, LongBench, a user who
pastes documents and then types), and under causal attention it is the harder half: the documents must be read without
knowing what will be asked, so what the model learns to keep serves any question.
"""

from app.dataset.fitting import ContextFitter, chat
from app.schema import Draft, Evidence, Example, Reject
from app.tokens import Tokenizer


def assemble(draft: Draft, tokenizer: Tokenizer, generator: str, prompt_version: str) -> Example | Reject:
    """Turn a draft into an example; one with documents has exactly `draft.seed.target_tokens` tokens.

    A long output is the instruction and the document as they are, and counts what it counts.

    Args:
        draft: What the agent made.
        tokenizer: Tokenizer of the model to be trained.
        generator: Model that wrote the instruction and the answer; recorded.
        prompt_version: Version of the prompts; it is recorded.

    Returns:
        The example, or why there is none: `control token`, `evidence exceeds target`, `documents do not fill
        target`, or `no exact cut` when a tokenizer defeats every cut that was tried.

    Raises:
        UserError: The tokenizer's model has no chat template, or one that rewrites what the user says.
    """
    seed = draft.seed
    texts = [draft.instruction, draft.answer, *(message["content"] for message in draft.follow_up)]
    for document in draft.documents:
        texts += [" ".join(document.title.split()), document.text]
    for token in tokenizer.control_tokens:
        if any(token in text for text in texts):
            # The corpus was searched for the generator's own; the trained model may have others.
            return Reject(seed.seed_id, "assembly", "control token", token)
    if seed.kind == "long_output":
        messages = chat(draft.instruction, draft.answer)
        num_tokens, document_ids = tokenizer.count_chat(messages), [seed.document_id]
        evidence: list[Evidence] = []
    else:
        fitted = ContextFitter(draft, tokenizer).fit()
        if isinstance(fitted, Reject):
            return fitted
        assert fitted.num_tokens == seed.target_tokens
        messages, num_tokens = fitted.messages, fitted.num_tokens
        document_ids, evidence = fitted.document_ids, fitted.evidence
    return Example(
        example_id=seed.seed_id,
        kind=seed.kind,
        task=seed.task,
        messages=messages,
        num_tokens=num_tokens,
        document_ids=document_ids,
        evidence=evidence,
        generator=generator,
        prompt_version=prompt_version,
        instruction=draft.instruction,
        task_data=draft.task_data,
        verification=draft.verification,
    )
