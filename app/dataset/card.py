"""The dataset card: the `README.md` of a finished dataset, which the Hub shows and `datasets.load_dataset` reads.

Everything in it follows from the settings, `statistics.json` and the shards; it can be written again at any time.
"""

import re
from itertools import islice
from typing import Any

from app.config import Config, identity
from app.dataset.excerpts import read_examples, shorten_example
from app.dataset.pictures import DEPTHS_PICTURE, LENGTHS_PICTURE, draw_evidence_depths, draw_lengths
from app.dataset.shards import EXAMPLES_DIR, hash_shards
from app.dataset.statistics import STATISTICS_FILE
from app.dataset.verified import QUANTILES as VERIFICATION_QUANTILES
from app.markdown import Cell, escaped, front_matter, table, yaml_block
from app.records.dataset import DatasetStatistics
from app.storage import Folder

CARD_FILE = "README.md"
NUM_CARD_EXAMPLES = 3
SIZE_CATEGORIES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
"""As the Hub names them; more than the last bound is `10M<n<100M`."""
CITATION = """@article{wang2024bootstrap,
  title   = {Bootstrap Your Own Context Length},
  author  = {Wang, Liang and Yang, Nan and Zhang, Xingxing and Huang, Xiaolong and Wei, Furu},
  journal = {arXiv preprint arXiv:2412.18860},
  year    = {2024}
}"""


def write_card(dataset: Folder, config: Config, statistics: DatasetStatistics) -> None:
    """Write statistics, pictures and card beside the shards.

    Args:
        dataset: The dataset's folder; `examples/` is complete.
        config: What the dataset was made with. No secret is in it.
        statistics: Result of `compute_statistics`.
    """
    statistics.write(dataset, STATISTICS_FILE)
    dataset.write_bytes(LENGTHS_PICTURE, draw_lengths(statistics))
    dataset.write_bytes(DEPTHS_PICTURE, draw_evidence_depths(statistics))
    examples = list(islice(read_examples(dataset), NUM_CARD_EXAMPLES))
    card = render_card(config, statistics, examples, hash_shards(dataset / EXAMPLES_DIR))
    dataset.write_bytes(CARD_FILE, card.encode("utf-8", "replace"))


def render_card(
    config: Config, statistics: DatasetStatistics, examples: list[dict[str, Any]], rows_hash: str
) -> str:
    """The card's text: Markdown under YAML front matter.

    Args:
        config: What the dataset was made with.
        statistics: Result of `compute_statistics`.
        examples: A few rows to show, shortened.
        rows_hash: Result of `hash_shards`.
    """
    name = config.dataset.publish.repo or config.run_dir.rstrip("/").rpartition("/")[2]
    paragraphs = [
        front_matter(_front_matter(name, statistics.num_examples, rows_hash)),
        f"# {name}",
        _summary(config, statistics),
        "## How it was made",
        _method(config, statistics),
        "## Lengths and evidence",
        f"![How many examples have which length]({LENGTHS_PICTURE})",
        _length_table(statistics),
        f"![Where in its context the evidence stands]({DEPTHS_PICTURE})",
        "The evidence documents of long inputs were given their places on purpose, evenly over all depths; the others "
        "were shuffled between them. `evidence_depths` is measured on the finished example.",
        *_seed_passages(statistics),
        *_verification(statistics),
        "## Columns",
        table(["column", "what it holds"], [], [[f"`{name}`", text] for name, text in COLUMNS.items()]),
        "## What was left out",
        _reject_table(statistics),
        "## What it cost",
        _call_table(statistics),
        "## Examples, shortened",
        *[shorten_example(example) for example in examples],
        "## Settings",
        yaml_block(identity(config)),
        "## Licence",
        "The documents keep the licences of the source they were taken from. Instructions and answers of long inputs, "
        "and instructions of long outputs, were written by the generator: its terms hold for them.",
        "## Citation",
        f"Made with Longstrap, which follows\n\n```bibtex\n{CITATION}\n```",
    ]
    return "\n\n".join(paragraphs) + "\n"


COLUMNS = {
    "example_id": "of the seed it was made from",
    "kind": "`long_input`: instruction over documents; `long_output`: a document for an instruction; `structure`: "
    "questions about documents that a program asked and can check",
    "task": "kind of instruction",
    "messages": "the chat: documents and instruction, then the answer; `recall` goes on with more questions",
    "num_tokens": "of the chat under the trained model's template",
    "document_ids": "in the order of the context",
    "evidence_ids": "passages that the answer rests on",
    "evidence_depths": "share of the tokens that stand before each of them",
    "evidence_spans": "characters `[start, end)` of each of them in the user's message: there stands its text",
    "generator": "what wrote instruction and answer; `program` for `structure`",
    "prompt_version": "of the prompts that it was given, or of the program",
    "instruction": "alone, without the documents",
    "task_data": "JSON with `answer_key`, `answer_type`, `checker`, `num_hops`, `num_needed_documents` and "
    "`difficulty`; null where no program can check the answer",
    "verification": "log-likelihoods per answer token: `closed_book` after the instruction alone, `evidence_gain` and "
    "`distractor_gain` that passages add to it, `necessity` that each evidence document adds beside the others; "
    "`judged_relevance` and `judged_correctness`, a judge's grades from 1 to 5; `not_verified`, why nothing was "
    "measured; null where nobody asked for it",
}


def config_name(name: str, rows_hash: str) -> str:
    """Name of the dataset's only configuration: the run's with the hash of its rows.

    `datasets` caches a local folder by the folder's own name, which is the same for all runs, and by this one: the hash
    keeps it from answering with the rows of another run, or of an earlier dataset of the same run.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name.rpartition("/")[2]).strip("-.")
    return f"{plain or 'run'}-{rows_hash}"


def _front_matter(name: str, num_examples: int, rows_hash: str) -> dict[str, Any]:
    size = next((category for bound, category in SIZE_CATEGORIES if num_examples < bound), "10M<n<100M")
    return {
        "pretty_name": name.rpartition("/")[2],
        "license": "other",
        "task_categories": ["text-generation", "question-answering", "summarization"],
        "size_categories": [size],
        "tags": ["long-context", "synthetic", "instruction-tuning", "longstrap", "arxiv:2412.18860"],
        "configs": [
            {
                "config_name": config_name(name, rows_hash),
                "data_files": [{"split": "train", "path": f"{EXAMPLES_DIR}/*.parquet"}],
            }
        ],
    }


def _summary(config: Config, statistics: DatasetStatistics) -> str:
    kinds = statistics.kinds
    parts = [
        f"{facts.num_examples:,} {kind.replace('_', '-')} examples ({facts.num_tokens:,} tokens)"
        for kind, facts in kinds.items()
    ]
    return (
        f"Synthetic long-context instruction data: {' and '.join(parts) or 'no examples'}. A *long input* is an "
        "instruction that needs several documents, those documents among others that do not matter, and its answer. "
        "A *long output* is a writing instruction and a whole document that fulfils it. A *structure* example asks "
        "for what stands where in its documents; a program made question and answer.\n\n"
        "```python\nfrom datasets import load_dataset\n\n"
        f'dataset = load_dataset("{config.dataset.publish.repo or "PATH"}", split="train")\n```'
    )


def _method(config: Config, statistics: DatasetStatistics) -> str:
    generator = config.generator
    written = ", ".join(
        f"{row.num_examples:,} examples by `{row.generator}` with prompts `{row.prompt_version}`"
        for row in statistics.written_by
    )
    sources = ", ".join(f"`{source.path}`" for source in config.corpus.sources)
    return "\n".join(
        [
            f"- Source: {sources}",
            f"- Generator: `{generator.model}`{_at(generator.revision)}; {written or 'no examples'}",
            f"- Retriever: `{config.retrieval.model}`{_at(config.retrieval.revision)}",
            f"- Tokens are counted with: `{config.tokenizer_model}`",
            "",
            "The generator writes an instruction beside a random passage, for diversity; the retriever finds documents "
            "for it; their chunks are summarised with the instruction in view, and the answer is written from the "
            "summaries. The example holds the documents themselves, not the summaries, at exactly the length that was "
            "drawn for it. For a long output the generator writes the instruction that a document answers.",
        ]
    )


def _at(revision: str | None) -> str:
    return f" at `{revision}`" if revision else ""


def _length_table(statistics: DatasetStatistics) -> str:
    names = ["min", "p10", "p50", "p90", "max", "mean"]
    rows: list[list[Cell]] = [
        [kind, facts.num_examples, facts.num_tokens, *(facts.length_tokens[name] for name in names)]
        for kind, facts in statistics.kinds.items()
    ]
    return table(["kind"], ["examples", "tokens", *(f"{name} tokens" for name in names)], rows)


def _seed_passages(statistics: DatasetStatistics) -> list[str]:
    counts = statistics.seed_passages
    if not counts:
        return []
    parts = ", ".join(
        f"{name} in {counts[name]:,}" for name in ("evidence", "distractor", "absent") if name in counts
    )
    return [
        f"The passage that the instruction was written from, in {sum(counts.values()):,} long inputs: {parts}."
    ]


def _verification(statistics: DatasetStatistics) -> list[str]:
    counts = statistics.verification
    if counts is None:
        return []
    names = list(VERIFICATION_QUANTILES)
    rows: list[list[Cell]] = [
        [signal.replace("_", " "), whose, *(quantiles[signal][name] for name in names)]
        for signal in counts.own
        for whose, quantiles in (("own", counts.own), ("shuffled", counts.shuffled))
        if signal in quantiles
    ]
    aucs = ", ".join(
        f"{signal.replace('_', ' ')} {auc:.2f}" for signal, auc in counts.auc.items() if auc is not None
    )
    limits = ", ".join(
        f"{name.replace('_', ' ')} {value:.2f}"
        for name, value in counts.thresholds.items()
        if value is not None
    )
    left = ", ".join(f"{number:,} ({reason})" for reason, number in counts.not_verified.items())
    paragraphs = [
        "## Verification",
        f"{counts.num_verified:,} answers of long inputs were measured: how likely the generator finds them, per "
        f"token, after different passages. Shuffled answers stand with the instruction and the evidence of another "
        f"row. Thresholds: {limits or 'none'}. What they left out is among the rejects, step `verification`."
        + (f" Not verified, and kept: {left}." if left else "")
        + (f" AUC of own against shuffled answers: {aucs}." if aucs else ""),
    ]
    return [*paragraphs, table(["signal", "answers"], names, rows)] if rows else paragraphs


def _reject_table(statistics: DatasetStatistics) -> str:
    if not statistics.rejects:
        return "Nothing: each seed became an example."
    rows: list[list[Cell]] = [
        [reject.step, escaped(reject.reason), reject.num_rejects] for reject in statistics.rejects
    ]
    num_seeds = statistics.num_examples + statistics.num_rejects
    return f"{statistics.num_rejects:,} of {num_seeds:,} seeds.\n\n" + table(
        ["step", "reason"], ["seeds"], rows
    )


def _call_table(statistics: DatasetStatistics) -> str:
    names = ["num_calls", "num_prompt_tokens", "num_cached_tokens", "num_output_tokens"]
    rows = [[step, *(getattr(counts, name) for name in names)] for step, counts in statistics.calls.items()]
    if len(rows) > 1:
        rows.append(["all", *(sum(row[column] for row in rows) for column in range(1, len(names) + 1))])
    return table(["step"], ["calls", "prompt tokens", "of them cached", "output tokens"], rows)
