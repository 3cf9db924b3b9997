"""Share of a suite's prompt tokens that a server with a prefix cache has to compute."""

from collections.abc import Iterable

from eval.records import Record
from eval.samples import Sample


def expected_prefill_share(samples: Iterable[Sample], block_tokens: int) -> float:
    """Share of the prompt tokens that must be computed, against 1 for prompts that have nothing in common.

    Args:
        samples: In the order in which they are asked, at least one. Prefixes are found again within a group alone.
        block_tokens: What the cache keeps: a prefix counts in whole blocks, and never up to the last token, which is
            computed in any case.
    """
    num_tokens = num_cached = 0
    blocks_of_group: dict[str, set[int]] = {}
    for sample in samples:
        known = blocks_of_group.setdefault(sample.group, set()) if sample.group else set()
        chain = _block_chain(sample, block_tokens)
        num_hits = next((index for index, block in enumerate(chain) if block not in known), len(chain))
        known.update(chain)
        num_tokens += len(sample.token_ids)
        num_cached += block_tokens * min(num_hits, (len(sample.token_ids) - 1) // block_tokens)
    return 1 - num_cached / num_tokens


def measured_prefill_share(records: Iterable[Record]) -> float | None:
    """Share of prompt tokens that the server computed, as it reported; None if no reply mentions a cached token."""
    replies = [record.reply for record in records if record.reply is not None]
    num_cached = sum(reply.num_cached_tokens for reply in replies)
    return 1 - num_cached / sum(reply.num_prompt_tokens for reply in replies) if num_cached else None


def _block_chain(sample: Sample, block_tokens: int) -> list[int]:
    """A number for each whole block, which tells all tokens up to its end."""
    chain, parent = [], 0
    for end in range(block_tokens, len(sample.token_ids) + 1, block_tokens):
        parent = hash((parent, sample.token_ids[end - block_tokens : end].tobytes()))
        chain.append(parent)
    return chain
