"""The training's data through a real Ray and SmolLM2's own tokenizer: exact, the same for any workers, resumed."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.config import RunConfig, StageConfig, TrainConfig, TrainSourceConfig
from app.dataset.shards import EXAMPLES_DIR, write_shards
from app.faults import UserError
from app.run import Run
from app.tokens import Tokenizer
from app.training.data import sources, stage_shards
from app.training.data.preparation import check_mixes, prepare_stage, prepare_tokens
from app.training.data.source_checks import check_sources
from tests.integration.test_corpus_pipeline import contents, local_ray
from tests.record_makers import dataset_record

pytestmark = pytest.mark.timeout(600)

MODEL = "bundled:smollm2-135m-instruct"
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "app/models/bundled/data/public_domain_sample.jsonl.gz"
SEQ_TOKENS = 2048


def sample_texts(number):
    with gzip.open(SAMPLE, "rt") as stream:
        return [json.loads(line)["text"] for line, _ in zip(stream, range(number), strict=False)]


def example(index, text, tokenizer):
    kind = ("long_input", "long_output")[index % 2]
    turns = (f"{text}\n\n---\n\nWhat is told?", "A tale.") if index % 2 == 0 else ("Write a tale.", text)
    messages = [
        {"role": role, "content": turn} for role, turn in zip(("user", "assistant"), turns, strict=True)
    ]
    return {
        "example_id": f"s{index:06d}",
        "kind": kind,
        "task": "explain",
        "messages": messages,
        "num_tokens": tokenizer.count_chat(messages),
        "document_ids": [],
        "evidence_ids": [],
        "evidence_depths": [],
        "evidence_spans": [],
        "generator": MODEL,
        "prompt_version": "1",
        "instruction": turns[0][-13:],
        "task_data": None,
        "verification": None,
    }


def write_dataset(run_dir, num_rows):
    """A finished dataset of examples between some hundred and three thousand tokens."""
    tokenizer = Tokenizer(MODEL)
    texts = sample_texts(40)
    rows = [
        example(index, texts[index % 40][index * 7 : 600 + index * 7 + 1000 * (index % 10)], tokenizer)
        for index in range(num_rows)
    ]
    dataset = Run(str(run_dir)).dataset
    dataset.claim({"generator": {"model": MODEL, "revision": None}, "dataset": {"tokenizer": None}})
    write_shards(rows, num_rows, dataset.folder / EXAMPLES_DIR, rows_per_shard=60, row_group_bytes=60_000)
    dataset.complete(dataset_record(num_examples=num_rows))
    return rows


def stage_of(name, mix, **more):
    settings = {
        "name": name,
        "max_seq_tokens": SEQ_TOKENS,
        "mix": mix,
        "num_steps": 8,
        "batch_tokens": 2 * SEQ_TOKENS,
        "learning_rate": 1e-5,
    }
    return StageConfig(**settings | more)


def config_of(run_dir, stages, **paths):
    named = {name: TrainSourceConfig(path=str(path), loss="response") for name, path in paths.items()}
    kinds = {kind: TrainSourceConfig(kind=kind) for kind in ("long_input", "long_output")}
    train = TrainConfig(model=MODEL, sources=kinds | named, stages=stages)
    return RunConfig(run_dir=str(run_dir), seed=3, train=train)


def write_chats(path, num_rows):
    chat = [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "This."},
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "That."},
    ]
    rows = [
        json.dumps({"messages": [*chat, chat[1] | {"content": f"{n}?"}, chat[2]]}) for n in range(num_rows)
    ]
    path.write_text("\n".join([*rows, "{", "{}"]))


@pytest.fixture(scope="module")
def two_workers():
    """A Ray of two CPUs for all tests; the first one, which needs another before it, stands on top."""
    with local_ray(2):
        yield


def test_the_data_is_exact_and_the_same_for_any_number_of_workers(tmp_path, monkeypatch, request):
    monkeypatch.setattr(sources, "PART_BYTES", 100_000)
    monkeypatch.setattr(stage_shards, "SHARD_TOKENS", 5 * SEQ_TOKENS)
    write_chats(tmp_path / "short.jsonl", 150)
    stages = [
        stage_of("mixed", {"long_input": 0.4, "long_output": 0.4, "short": 0.2}),
        stage_of("joined", {"long_input": 1.0}, documents="separator", loss="response", num_steps=3),
    ]
    lines = []

    def prepare(run_dir):
        rows = write_dataset(run_dir, 100)
        config = config_of(run_dir, stages, short=tmp_path / "short.jsonl")
        run = Run(str(run_dir))
        check_sources(config)
        prepare_tokens(config, run, lines.append)
        stores = [prepare_stage(config, run, stage, lines.append) for stage in stages]
        before = {path: path.stat().st_mtime_ns for path in (run_dir / "train").rglob("*")}
        prepare_tokens(config, run, lines.append)
        assert prepare_stage(config, run, stages[0], lines.append).num_sequences == 16
        assert {path: path.stat().st_mtime_ns for path in (run_dir / "train").rglob("*")} == before
        return rows, stores

    with local_ray(1):
        prepare(tmp_path / "run1")
    request.getfixturevalue("two_workers")
    rows, stores = prepare(tmp_path / "run2")
    # The plan of a source's parts names its files, which are here in two folders.
    made = [contents(tmp_path / name / "train") for name in ("run1", "run2")]
    for name in ("long_input", "long_output"):
        assert [files.pop(f"_tokens/{name}/plan.json") for files in made]
    assert made[0] == made[1]
    tokens = Run(str(tmp_path / "run1")).stage("_tokens").folder
    assert len((tokens / "long_input").list_names(".parquet")) > 3
    index = pq.read_table(
        [tokens.path + f"/long_input/{name}" for name in (tokens / "long_input").list_names(".parquet")]
    )
    lengths = dict(zip(index["example_id"].to_pylist(), index["num_tokens"].to_pylist(), strict=True))
    assert lengths == {row["example_id"]: row["num_tokens"] for row in rows if row["kind"] == "long_input"}
    assert any("short: " in line and "rejected 2 (bad JSON 1, wrong type 1)" in line for line in lines)
    check_mixed(stores[0], rows)
    check_joined(stores[1])


def check_mixed(store, rows):
    """Every document of the packed sequences reads as the chat that it was."""
    tokenizer = Tokenizer(MODEL)
    chats = {row["example_id"]: tokenizer.render(row["messages"]) for row in rows}
    seen = []
    assert (store.num_sequences, store.seq_tokens) == (16, SEQ_TOKENS)
    for index in range(store.num_sequences):
        tokens, is_target = store.read(index, 0, SEQ_TOKENS)
        ids, num_tokens = store.example_ids(index), store.num_tokens(index)
        bounds = [*store.starts(index).tolist(), SEQ_TOKENS]
        assert bounds[len(ids)] == num_tokens
        assert not is_target[num_tokens:].any()
        for example_id, start, stop in zip(ids, bounds, bounds[1:], strict=False):
            text = tokenizer._hf.decode(tokens[start:stop].tolist())
            learned = is_target[start:stop]
            if example_id in chats:
                assert text == chats[example_id]
                assert learned.tolist() == [False] + [True] * (stop - start - 1)
            else:
                assert text.startswith(
                    "<|im_start|>system\nAnswer in one word.<|im_end|>\n<|im_start|>user\nWhich?"
                )
                said = tokenizer._hf.decode(tokens[start:stop][learned].tolist())
                assert said == "This.<|im_end|>That.<|im_end|>This.<|im_end|>"
        seen += ids
    assert len(seen) == len(set(seen))


def check_joined(store):
    for index in range(store.num_sequences):
        tokens, is_target = store.read(index, 0, SEQ_TOKENS)
        num_tokens = store.num_tokens(index)
        expected = [0] if num_tokens == SEQ_TOKENS else [0, num_tokens]
        assert store.starts(index).tolist() == expected
        said = Tokenizer(MODEL)._hf.decode(tokens[is_target].tolist())
        assert said == "A tale.<|im_end|>" * len(store.example_ids(index))


KILLED_JOB = """
import sys
from app.training.data import sources
from app.faults import UserError
from tests.integration.test_training_data import Run, config_of, local_ray, prepare_tokens, stage_of
sources.PART_BYTES = 1
config = config_of(sys.argv[1], [stage_of("s", {"long_input": 1.0, "long_output": 1.0})])
with local_ray(1):
    prepare_tokens(config, Run(sys.argv[1]), print)
"""


def test_a_killed_job_goes_on_without_tokenizing_its_parts_again(tmp_path, monkeypatch, two_workers):
    import psutil  # Comes with Ray.

    run_dir = tmp_path / "run"
    write_dataset(run_dir, 300)
    parts = run_dir / "train" / "_tokens" / "long_input"
    folder = tempfile.mkdtemp(prefix="l")
    job = subprocess.Popen(
        [sys.executable, "-c", KILLED_JOB, str(run_dir)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": folder},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not (parts / "part-00003.parquet").exists():
            assert job.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        started = psutil.Process(job.pid).children(recursive=True) if job.poll() is None else []
        job.send_signal(signal.SIGKILL)
        job.wait()
        # Its Ray outlives it, and would finish what is in work.
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(started, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
    done = {path: path.stat().st_mtime_ns for path in parts.glob("part-*.parquet")}
    assert len(done) >= 4
    assert not (parts / "_complete.json").exists()

    monkeypatch.setattr(sources, "PART_BYTES", 1)
    stage = stage_of("s", {"long_input": 1.0, "long_output": 1.0})
    config, lines = config_of(run_dir, [stage]), []
    prepare_tokens(config, Run(str(run_dir)), lines.append)
    store = prepare_stage(config, Run(str(run_dir)), stage, lines.append)
    assert f"tokens of long_input: resuming, {len(done)} are done" in lines
    assert len(done) < len(list(parts.glob("part-*.parquet")))
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert store.num_sequences == 16
    assert sum(line.startswith("tokens of long_input: ") and "of 150 examples" in line for line in lines) == 1

    # The same after the stage itself was interrupted: finished shards stay, the missing one is made again.
    data = run_dir / "train" / "s" / "data"
    whole = contents(data)
    (data / "_complete.json").unlink()
    for path in data.glob("sequences-*.parquet"):
        path.unlink()
    prepare_stage(config, Run(str(run_dir)), stage, lines.append)
    assert contents(data) == whole


def test_faults_stop_the_job_in_one_line_until_they_are_mended(tmp_path, two_workers):
    path = tmp_path / "short.jsonl"
    path.write_text("\n".join(['{"text": "A tale of the sea."}', "{", "{}", '{"messages": 3}']))
    stage = stage_of("s", {"short": 1.0}, loss="all", num_steps=1, batch_tokens=SEQ_TOKENS)
    config, lines = config_of(tmp_path / "run", [stage], short=path), []
    run = Run(config.run_dir)
    with pytest.raises(
        UserError,
        match=r"^train\.sources\.short: 3 of 4 rows can't be trained on \(bad JSON 1, wrong type 2\); fix them .*"
        r"_tokens/short/rejects, the first is .*short\.jsonl:2: bad JSON",
    ) as raised:
        prepare_tokens(config, run, lines.append)
    assert "\n" not in str(raised.value)
    path.write_text("\n".join(['{"text": "A tale of the sea."}'] * 100))
    prepare_tokens(config, run, lines.append)
    assert any("have changed since the job was interrupted" in line for line in lines)
    # What is whole stays as it is, and it is said that it is of other files.
    path.write_text("\n".join(['{"text": "A tale of the land."}'] * 100))
    prepare_tokens(config, run, lines.append)
    assert any(
        line.startswith("tokens of short: its input files are not what it was made of: 1 of another size")
        and line.endswith("give the source another name to learn from what is there now")
        for line in lines
    )
    unfilled = r"^train\.stages\.0\.mix\.short: stage s needs 2,048 tokens .* there are 700 at"
    with pytest.raises(UserError, match=unfilled):
        check_mixes(config, run)
    assert not run.stage("s").folder.exists()
    with pytest.raises(UserError, match=unfilled):
        prepare_stage(config, run, stage, lines.append)
    # The remedies that the refusals name are taken: what is half made gives way, what is whole does not.
    more = [stage.model_copy(update={"max_epochs": epochs}) for epochs in (3.0, 4.0)]
    changed = [
        config.model_copy(update={"train": config.train.model_copy(update={"stages": [stage]})})
        for stage in more
    ]
    assert prepare_stage(changed[0], run, more[0], lines.append).num_sequences == 1
    with pytest.raises(
        UserError,
        match=r"^train\.stages\.s\.max_epochs: .*/train/s/data was made with 3\.0, but now it is 4\.0",
    ):
        prepare_stage(changed[1], run, more[1], lines.append)
    other = config_of(run.folder.uri, [stage], short=tmp_path)
    with pytest.raises(
        UserError,
        match=r"^train\.sources\.short\.path: .*_tokens/short was made .*give the source another name$",
    ):
        prepare_tokens(other, run, lines.append)
    unmade = config_of(tmp_path / "unmade", [stage_of("s", {"long_input": 1.0})])
    with pytest.raises(UserError, match=r"^train\.sources\.long_input: .*/unmade/dataset is not there; fin"):
        prepare_tokens(unmade, Run(unmade.run_dir), lines.append)
    (tmp_path / "none.jsonl").write_text("")
    empty = config_of(tmp_path / "empty", [stage_of("s", {"none": 1.0})], none=tmp_path / "none.jsonl")
    with pytest.raises(UserError, match=r"^train\.sources\.none: holds no row; leave it out of all mixes"):
        prepare_tokens(empty, Run(empty.run_dir), lines.append)
