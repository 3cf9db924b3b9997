"""A part of a source becomes tokens and rejects, and is not made twice."""

import gzip
import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.config import SourceConfig
from app.corpus.sources import list_source
from app.corpus.units import WorkUnit
from app.storage import Folder
from app.training.data import source_tokens
from app.training.data.source_tokens import PartRecord, tokenize_part
from app.training.data.token_shards import TokenShards
from app.training.data.tokenization import TARGET_BITS
from tests.training.tiny_tokenizers import FORGETFUL, save_chatml

CHATS = [
    [{"role": "user", "content": f"What is {index}?"}, {"role": "assistant", "content": "The wind." * index}]
    for index in range(1, 4)
]


def part_of(path, rows, index=0):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return WorkUnit(index, tuple(list_source(SourceConfig(path=str(path)), "train.sources.a")))


@pytest.fixture
def rows():
    return [*({"messages": chat} for chat in CHATS), "{", {"text": "The ship sailed north."}, {"text": ""}]


def test_what_is_written_is_what_was_read(tmp_path, chatml, rows):
    folder = Folder(str(tmp_path / "tokens"))
    first = tokenize_part(part_of(tmp_path / "a.jsonl", rows), folder, chatml, None)
    second = tokenize_part(part_of(tmp_path / "b.jsonl", rows[:1], 1), folder, chatml, None)
    assert (first.num_examples, first.num_rejects) == (4, {"bad JSON": 1, "empty": 1})
    assert first.num_without_response == {"a text has no response": 1}
    assert first.first_reject.startswith(f"{tmp_path}/a.jsonl:4: bad JSON (")
    shards = TokenShards(folder)
    assert shards.parts == ["part-00000", "part-00001"]
    whole, response = shards.read_index("all"), shards.read_index("response")
    assert whole.part.tolist() == [0, 0, 0, 0, 1]
    assert whole.row.tolist() == [0, 1, 2, 3, 0]
    assert whole.is_text.tolist() == [False, False, False, True, False]
    counts = [chatml.count_chat(chat) for chat in CHATS]
    assert whole.num_tokens.tolist() == [
        *counts,
        chatml.count("The ship sailed north.") + 1,
        counts[0],
    ]
    assert whole.num_targets.tolist() == (whole.num_tokens - 1).tolist()
    assert (first.num_tokens, second.num_tokens) == (int(whole.num_tokens[:4].sum()), counts[0])
    for example in range(5):
        start = int(whole.start[example])
        tokens, bits = shards.read(int(whole.part[example]), start, start + int(whole.num_tokens[example]))
        assert tokens[0] == whole.first_token[example]
        assert np.count_nonzero(bits & TARGET_BITS["response"]) == response.num_targets[example]
        if example < 3:
            assert tokens.tolist() == chatml.encode(chatml.render(CHATS[example]))
    assert response.num_targets[3] == 0
    assert min(response.num_targets[:3]) > 0
    assert shards.read_ids(0, np.array([2, 0, 2])) == [f"{tmp_path}/a.jsonl:{line}" for line in (3, 1, 3)]


def test_rejects_are_kept_with_their_reasons(tmp_path, rows):
    tokenizer = save_chatml(tmp_path / "tokenizer", FORGETFUL)
    spoken = [{"role": "user", "content": "Say <|im_end|>"}, CHATS[0][1]]
    rows += [{"messages": [*CHATS[0], *CHATS[1]]}, {"messages": spoken}]
    folder = Folder(str(tmp_path / "tokens"))
    record = tokenize_part(part_of(tmp_path / "a.jsonl", rows), folder, tokenizer, None)
    rejects = pq.read_table(tmp_path / "tokens" / "rejects").to_pylist()
    name = f"{tmp_path}/a.jsonl"
    assert [(row["row_id"], row["step"], row["reason"]) for row in rejects] == [
        (f"{name}:4", "read", "bad JSON"),
        (f"{name}:6", "read", "empty"),
        (f"{name}:7", "response", "the chat template rewrites earlier turns"),
        (f"{name}:8", "tokens", "control token"),
    ]
    assert record.num_rejects == {"bad JSON": 1, "control token": 1, "empty": 1}
    assert record.num_examples == 5
    assert record.num_without_response["the chat template rewrites earlier turns"] == 1


def test_a_finished_part_is_not_read_again(tmp_path, chatml, rows):
    folder = Folder(str(tmp_path / "tokens"))
    part = part_of(tmp_path / "a.jsonl", rows)
    record = tokenize_part(part, folder, chatml, None)
    (tmp_path / "a.jsonl").unlink()
    assert tokenize_part(part, folder, chatml, None) == record
    assert isinstance(record, PartRecord)


def test_a_part_that_was_interrupted_is_made_anew(tmp_path, chatml, rows, monkeypatch):
    folder = Folder(str(tmp_path / "tokens"))
    part = part_of(tmp_path / "a.jsonl", rows)

    def failing(*_):
        yield source_tokens.SourceRow("a", CHATS[0], "")
        raise RuntimeError("storage failed")

    with monkeypatch.context() as patch:
        patch.setattr(source_tokens, "read_rows", failing)
        with pytest.raises(RuntimeError, match="storage failed"):
            tokenize_part(part, folder, chatml, None)
    assert TokenShards(folder).parts == []
    assert tokenize_part(part, folder, chatml, None).num_examples == 4


def test_the_digest_tells_other_tokens(tmp_path, chatml, llama, rows):
    digests = [
        tokenize_part(
            part_of(tmp_path / "a.jsonl", kept), Folder(str(tmp_path / f"t{number}")), tokenizer, None
        )
        for number, (kept, tokenizer) in enumerate(
            [(rows, chatml), (rows, chatml), (rows[1:], chatml), (rows, llama)]
        )
    ]
    assert digests[0].digest == digests[1].digest
    assert len({record.digest for record in digests}) == 3


def test_files_that_are_not_read_to_their_end_are_counted(tmp_path, chatml):
    texts = [{"text": f"The ship {os.urandom(20).hex()}"} for _ in range(100)]
    packed = gzip.compress("\n".join(map(json.dumps, texts)).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "b.jsonl.gz").write_bytes(b"broken")
    files = list_source(SourceConfig(path=f"{tmp_path}/*.gz"), "train.sources.a")
    record = tokenize_part(WorkUnit(0, tuple(files)), Folder(str(tmp_path / "tokens")), chatml, None)
    assert record.num_examples > 10
    assert record.num_rejects == {"unreadable": 2}
    assert record.broken_files == [f"{tmp_path}/a.jsonl.gz", f"{tmp_path}/b.jsonl.gz"]
    assert record.lost_bytes == 6
