"""Small synthesis runs for tests: a corpus out of the bundled sample, a recipe, a driver in a process of its own."""

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "app/models/bundled/data/public_domain_sample.jsonl.gz"
KEY_VARIABLE = "LONGSTRAP_DOUBLE_KEY"
NUM_LONG_INPUTS, NUM_LONG_OUTPUTS = 18, 4
CALL_TIMEOUT_SEC = 4.0


def write_corpus(path: Path, num_documents: int = 24, num_chars: int = 6000) -> None:
    """The beginnings of documents of all sources of the sample."""
    with gzip.open(SAMPLE, "rt") as stream:
        documents = [json.loads(line) for line in stream]
    chosen = documents[:: len(documents) // num_documents][:num_documents]
    rows = [{"id": document["id"], "text": document["text"][:num_chars]} for document in chosen]
    path.write_text("\n".join(json.dumps(row) for row in rows))


def write_chinese_corpus(path: Path, num_documents: int = 12, num_sentences: int = 40) -> None:
    """Documents in Chinese, with titles."""
    rng = random.Random(11)
    people = [
        "商人",
        "磨坊主",
        "灯塔管理员",
        "船长",
        "木匠",
        "牧羊人",
        "采石工",
        "渔夫",
        "铁匠",
        "抄写员",
        "园丁",
        "守门人",
        "药师",
        "邮差",
        "织工",
    ]
    acts = [
        "修理",
        "储存",
        "运走",
        "清点",
        "登记",
        "卖出",
        "借来",
        "搬运",
        "丢失",
        "检查",
        "换回",
        "寄出",
        "称量",
        "收集",
        "藏起",
    ]
    things = [
        "桥梁石料",
        "铜矿石",
        "大麦和燕麦",
        "旧书籍",
        "渔网",
        "蜂蜜",
        "羊毛毯",
        "铁钉",
        "陶罐",
        "海盐",
        "玻璃窗",
        "航海图",
        "药草",
        "木桶",
        "麻绳",
    ]
    places = ["河边", "港口", "山谷", "城门", "北岸", "集市", "盐场", "修道院", "渡口", "石桥下"]
    rows = []
    for number in range(num_documents):
        sentences = [
            f"第{rng.randrange(1, 999)}年，{rng.choice(places)}的{rng.choice(people)}{rng.choice(acts)}"
            f"{rng.choice(things)}，共{rng.randrange(2, 9999)}车。"
            for _ in range(num_sentences)
        ]
        rows.append({"id": f"zh-{number}", "title": f"{rng.choice(places)}账目", "text": "".join(sentences)})
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))


def write_recipe(path: Path, run_dir: Path, corpus: Path, base_url: str) -> None:
    """A recipe whose generator is the endpoint at `base_url`."""
    lengths = {"min_tokens": 1500, "max_tokens": 2500}
    recipe = {
        "run_dir": str(run_dir),
        "seed": 5,
        "corpus": {
            "sources": [{"path": str(corpus)}],
            "passage_tokens": 256,
            "decontamination": {"ruler": False},
        },
        "retrieval": {"model": "bundled:multilingual-e5-small", "batch_size": 16},
        "generator": {
            "type": "openai",
            "model": "double",
            "base_url": base_url,
            "api_key_env": KEY_VARIABLE,
            "tokenizer": "bundled:smollm2-135m-instruct",
            "max_model_tokens": 4096,
            "call_timeout_sec": CALL_TIMEOUT_SEC,
            "num_retries": 0,
            "max_attempts": 2,
        },
        "agent": {
            "document_tokens": 512,
            "chunk_tokens": 256,
            "instruction_tokens": 96,
            "summary_tokens": 96,
            "answer_tokens": 256,
        },
        "dataset": {
            "num_long_input_seeds": NUM_LONG_INPUTS,
            "num_long_output_seeds": NUM_LONG_OUTPUTS,
            "target_lengths": [lengths],
            "long_output_tokens": {"min_tokens": 1000, "max_tokens": 4000},
        },
        "pipeline": {"rows_per_batch": 3, "batches_per_actor": 2},
        "progress": {"log_interval_sec": 2.0, "num_shown_examples": 0},
        "ray": {"num_cpus": 4, "object_store_mb": 200},
    }
    path.write_text(yaml.safe_dump(recipe))


@contextmanager
def driver(verb: str, recipe: Path, *overrides: str):
    """`python -m ray_jobs.VERB` as a process whose children are ours to look at; ended when the block is left."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {KEY_VARIABLE: "none", "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    # Sockets need a short path, which pytest's are not.
    with tempfile.TemporaryDirectory(prefix="ls", dir="/tmp", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", f"ray_jobs.{verb}", "--config", str(recipe)),
                    *("--ray.temp_dir", folder, *overrides),
                ],
                cwd=ROOT,
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        process.log = log
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen) -> None:
    """Kill a driver and all that it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    if process.poll() is None:
        process.kill()
    process.wait()
    for child in family:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=20)


def run_to_end(verb: str, recipe: Path, *overrides: str, timeout_sec: float = 300) -> str:
    """Run a job; return what it printed."""
    with driver(verb, recipe, *overrides) as process:
        code = process.wait(timeout_sec)
        text = process.log.read_text()
    assert code == 0, text
    return text


def wait_until(condition: Callable[[], bool], process: subprocess.Popen, timeout_sec: float = 300) -> None:
    deadline = time.monotonic() + timeout_sec
    while not condition():
        assert process.poll() is None, f"the job ended too early:\n{process.log.read_text()}"
        assert time.monotonic() < deadline, process.log.read_text()
        time.sleep(0.1)


def find_workers(process: subprocess.Popen, title: str) -> list[psutil.Process]:
    """The Ray workers under a driver whose process titles hold `title`."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if title in " ".join(child.cmdline()):
                found.append(child)
    return found


def dataset_ids(run_dir: Path) -> tuple[list[str], dict[str, str]]:
    """Ids of a finished dataset's examples, in order, and the rejects' reasons by id."""
    dataset = run_dir / "dataset"
    examples = pq.read_table(dataset / "examples")["example_id"].to_pylist()
    rejects = pq.read_table(dataset / "rejects").to_pylist()
    assert len(rejects) == len({row["row_id"] for row in rejects})
    return examples, {row["row_id"]: row["reason"] for row in rejects}


def journaled(run_dir: Path) -> set[str]:
    """Texts of all finished calls in a run's journal."""
    return {
        json.loads(path.read_text())["reply"]["text"]
        for path in (run_dir / "dataset" / "_calls").glob("*/[!.]*.json")
    }
