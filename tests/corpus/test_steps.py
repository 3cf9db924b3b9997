import json
import random
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import PreTrainedTokenizerFast

from app.config import CorpusConfig, DecontaminationConfig, DedupConfig, SourceConfig
from app.corpus import repeats as repeats_module
from app.corpus.decontamination import Contaminants, list_evaluation_files, read_contaminants
from app.corpus.ngrams import hash_ngrams
from app.corpus.repeats import find_edges, plan_edge_tasks, read_repeats, resolve_repeats
from app.corpus.shards import CorpusLayout, ShardName, open_shard
from app.corpus.sources import list_files
from app.corpus.steps import find_fault, finish_shard, scan_unit
from app.corpus.units import plan_units
from app.schema import DOCUMENT_SCHEMA, REJECT_SCHEMA, Document, hash_text
from app.storage import Folder
from app.text.words import split_words
from app.tokens import Tokenizer

NOTHING = read_contaminants([], 13)
NINE_WORDS = "the quick brown fox jumps over the lazy dog"


def text_of(seed, num_words=120):
    generator = random.Random(seed)
    return " ".join(f"w{generator.randrange(3000)}" for _ in range(num_words)) + "."


def write_rows(path, texts):
    path.write_text(
        "".join(json.dumps({"text": text}) + "\n" if text is not None else "{\n" for text in texts)
    )


def corpus_of(tmp_path, files, documents_per_shard=3, **dedup):
    """Layout, settings and units of JSONL files, one a unit."""
    (tmp_path / "in").mkdir()
    for name, texts in files.items():
        write_rows(tmp_path / "in" / name, texts)
    settings = CorpusConfig(
        sources=[SourceConfig(path=str(tmp_path / "in"))],
        documents_per_shard=documents_per_shard,
        passage_tokens=64,
        dedup=DedupConfig(**dedup),
    )
    units = plan_units(list_files(settings.sources), settings.documents_per_shard, unit_bytes=1)
    return CorpusLayout(Folder(str(tmp_path / "corpus"))), settings, units


def find_repeats(layout, settings, num_documents):
    tasks = plan_edge_tasks(num_documents, settings.dedup)
    for task in tasks:
        find_edges(task, layout, settings.dedup)
    resolve_repeats(tasks, layout, settings.dedup)


def build(layout, settings, units, tokenizer, contaminants=NOTHING):
    scanned = [scan_unit(unit, layout, settings) for unit in units]
    find_repeats(layout, settings, sum(sum(record.shard_documents) for record in scanned))
    return [
        finish_shard(ShardName(unit.index, index), layout, settings, tokenizer, contaminants)
        for unit, record in zip(units, scanned, strict=True)
        for index in range(len(record.shard_documents))
    ]


def read_all(folder):
    return [row for name in folder.list_names(".parquet") for row in folder.read_table(name).to_pylist()]


def test_documents_passages_and_rejects_add_up(tmp_path, tokenizer):
    texts = [text_of(seed) for seed in range(7)]
    layout, settings, units = corpus_of(
        tmp_path, {"a.jsonl": [*texts[:4], None, texts[1]], "b.jsonl": [texts[4], " ", texts[5], texts[6]]}
    )
    records = build(layout, settings, units, tokenizer)
    documents, passages, rejects = (
        read_all(folder) for folder in (layout.documents, layout.passages, layout.rejects)
    )
    assert [row["text"] for row in documents] == texts
    assert layout.documents.list_names() == [
        "part-00000-000.parquet",
        "part-00000-001.parquet",
        "part-00001-000.parquet",
        "part-00001-001.parquet",
    ]
    joined = {row["document_id"]: "" for row in documents}
    for row in passages:
        assert len(joined[row["document_id"]]) == row["start_char"]
        joined[row["document_id"]] += row["text"]
        assert len(joined[row["document_id"]]) == row["end_char"]
        assert row["num_tokens"] <= 64
    assert list(joined.values()) == texts
    assert [row["num_tokens"] for row in documents] == [tokenizer.count(text) for text in texts]
    source = f"{tmp_path}/in"
    found = sorted((row["row_id"].removeprefix(f"{source}/"), row["step"], row["reason"]) for row in rejects)
    assert found == [
        ("a.jsonl:5", "read", "bad JSON"),
        ("a.jsonl:6", "dedup", "exact duplicate"),
        ("b.jsonl:2", "read", "empty"),
    ]
    assert sum(record.num_documents for record in records) == 7
    assert sum(record.num_passages for record in records) == len(passages)
    assert sum(record.num_chars for record in records) == sum(map(len, texts))
    assert max(record.max_document_tokens for record in records) == max(map(tokenizer.count, texts))


def test_shards_have_the_schemas_and_small_row_groups(tmp_path, tokenizer):
    layout, settings, units = corpus_of(
        tmp_path,
        {"a.jsonl": [text_of(seed, 10) for seed in range(200)]},
        documents_per_shard=1000,
        near=False,
    )
    build(layout, settings, units, tokenizer)
    file = pq.ParquetFile(layout.documents.file("part-00000-000.parquet"))
    assert file.schema_arrow.equals(DOCUMENT_SCHEMA)
    assert [file.metadata.row_group(index).num_rows for index in range(2)] == [128, 72]
    assert layout.rejects.read_table("part-00000-000.parquet").schema.equals(REJECT_SCHEMA)


def test_repeats_across_units_name_what_they_repeat(tmp_path):
    original, other = text_of(1), text_of(2)
    near = original.replace("w", "W").replace(".", " extra words.")
    nearer = near + " more."
    layout, settings, units = corpus_of(
        tmp_path,
        {"a.jsonl": [other, original], "b.jsonl": [near, other, near, text_of(3)], "c.jsonl": [nearer]},
    )
    for unit in units:
        scan_unit(unit, layout, settings)
    find_repeats(layout, settings, 7)
    found = {}
    for unit in units:
        for index in (0, 1):
            first = ShardName(unit.index, index).first_order(3)
            found |= {
                (unit.index, index * 3 + order - first): (repeat.reason, repeat.document_id)
                for order, repeat in read_repeats(layout, first, 3).items()
            }
    assert found == {
        (1, 0): ("near duplicate", hash_text(original)),
        (1, 1): ("exact duplicate", hash_text(other)),
        (1, 2): ("exact duplicate", hash_text(near)),
        (2, 0): ("near duplicate", hash_text(original)),
    }


def test_an_anthology_beside_its_parts_is_a_repeat_of_them(tmp_path, tokenizer):
    stories = [text_of(seed, 1500) for seed in range(3)]
    anthology = " ".join([*stories, text_of(9, 1500)])
    files = {"a.jsonl": [*stories, text_of(8, 1500), stories[0]], "b.jsonl": [anthology]}
    layout, settings, units = corpus_of(tmp_path, files)
    records = build(layout, settings, units, tokenizer)
    assert sorted(len(row["text"]) for row in read_all(layout.documents)) == sorted(
        [len(anthology), len(text_of(8, 1500))]
    )
    rejects = {(row["reason"], row["detail"]) for row in read_all(layout.rejects)}
    assert rejects == {
        ("contained in another", hash_text(anthology)),
        ("exact duplicate", hash_text(stories[0])),
    }
    assert (
        sum(
            record.num_rejects["dedup"].get("contained in another", 0)
            for record in records
            if record.num_rejects
        )
        == 3
    )


def test_near_duplicates_stay_when_they_are_not_asked_for(tmp_path, tokenizer):
    texts = [text_of(1), text_of(1) + " more."]
    layout, settings, units = corpus_of(tmp_path, {"a.jsonl": [*texts, texts[0]]}, near=False)
    build(layout, settings, units, tokenizer)
    assert [row["text"] for row in read_all(layout.documents)] == texts


def test_the_shares_of_a_search_do_not_change_what_is_found(tmp_path, monkeypatch):
    texts = [text_of(seed % 7) + " more." * (seed % 3) for seed in range(40)]
    layout, settings, units = corpus_of(tmp_path, {"a.jsonl": texts})
    scan_unit(units[0], layout, settings)
    find_repeats(layout, settings, 40)
    whole = layout.scan.read_table("repeats.parquet")
    assert whole.num_rows == 33
    for name in layout.scan.list_names():
        if name.startswith(("edges", "repeats")):
            layout.scan.filesystem.delete_file(layout.scan.file(name))
    monkeypatch.setattr(repeats_module, "DOCUMENTS_PER_TASK", 10)
    monkeypatch.setattr(repeats_module, "SAMPLED_DOCUMENTS_PER_TASK", 10)
    assert len(plan_edge_tasks(40, settings.dedup)) == 4 * len(
        {task.column for task in plan_edge_tasks(40, settings.dedup)}
    )
    find_repeats(layout, settings, 40)
    assert layout.scan.read_table("repeats.parquet").equals(whole)


def test_contaminated_documents_go_to_the_rejects(tmp_path, tokenizer):
    texts = [text_of(1), text_of(2)]
    stretch = texts[1].split()[20:33]
    contaminants = Contaminants({13: np.sort(hash_ngrams(split_words(" ".join(stretch)), 13))}, 13, 1, 1)
    layout, settings, units = corpus_of(tmp_path, {"a.jsonl": texts})
    [record] = build(layout, settings, units, tokenizer, contaminants)
    assert [row["text"] for row in read_all(layout.documents)] == texts[:1]
    [reject] = read_all(layout.rejects)
    assert (reject["step"], reject["reason"]) == ("decontamination", "evaluation text")
    assert reject["detail"] == " ".join(stretch)
    assert record.num_rejects == {"decontamination": {"evaluation text": 1}}


def test_documents_that_spell_a_control_token_go_to_the_rejects(tmp_path, tokenizer):
    """In a chat it would end the turn that the document stands in."""
    fast = PreTrainedTokenizerFast.from_pretrained(tokenizer.model, eos_token="<|end|>")
    fast.save_pretrained(tmp_path / "chat")
    texts = [text_of(1), f"{text_of(2)} <|end|> {text_of(3)}"]
    layout, settings, units = corpus_of(tmp_path, {"a.jsonl": texts})
    [record] = build(layout, settings, units, Tokenizer(str(tmp_path / "chat")))
    assert [row["text"] for row in read_all(layout.documents)] == texts[:1]
    assert record.num_rejects == {"tokens": {"control token": 1}}
    assert read_all(layout.rejects)[0]["detail"] == "<|end|>"


@pytest.mark.parametrize(
    ("title", "step", "detail"),
    [
        ("Notes <|im_end|> more", "tokens", "<|im_end|>"),
        (NINE_WORDS.upper(), "decontamination", NINE_WORDS),
    ],
)  # fmt: skip
def test_a_title_passes_the_checks_of_a_text(tmp_path, title, step, detail):
    (tmp_path / "a.txt").write_text(f"{NINE_WORDS}.")
    paths = DecontaminationConfig(paths=[str(tmp_path / "a.txt")], ruler=False)
    contaminants = read_contaminants(list_evaluation_files(paths).files, 13)
    document = Document("00", "A text of its own.", title, "b.jsonl", 1)
    reject = find_fault(document, None, contaminants, ["<|im_end|>"])
    assert (reject.step, reject.detail) == (step, detail)
    assert find_fault(replace(document, title="Notes"), None, contaminants, ["<|im_end|>"]) is None


def test_what_is_done_is_not_done_again(tmp_path, tokenizer):
    layout, settings, units = corpus_of(tmp_path, {"a.jsonl": [text_of(1), None]})
    first = scan_unit(units[0], layout, settings)
    (tmp_path / "in" / "a.jsonl").unlink()
    assert scan_unit(units[0], layout, settings) == first
    find_repeats(layout, settings, 1)
    shard = ShardName(0, 0)
    done = finish_shard(shard, layout, settings, tokenizer, NOTHING)
    layout.scan.filesystem.delete_file(layout.scan.file(shard.part))
    assert finish_shard(shard, layout, settings, tokenizer, NOTHING) == done


def test_a_shard_that_fails_half_way_leaves_nothing(tmp_path):
    def write():
        with open_shard(Folder(str(tmp_path)), "a.parquet", REJECT_SCHEMA, 1) as shard:
            shard.add("row", "step", "reason", "detail")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_files_without_a_row_make_an_empty_shard(tmp_path, tokenizer):
    layout, settings, units = corpus_of(tmp_path, {"a.jsonl": [], "b.jsonl": [text_of(1)]})
    records = build(layout, settings, units, tokenizer)
    assert [record.num_documents for record in records] == [0, 1]
    assert layout.passages.read_table("part-00000-000.parquet").num_rows == 0
