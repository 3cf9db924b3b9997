"""Peak memory of the driver process of a synthesis, with a corpus of 1×, 4× and 16× documents.

The whole job runs: corpus, index, dataset. Only the models are stand-ins, as they live in other processes: a tiny
embedder with random weights, and an endpoint that answers by rule. The corpus is cut into shards of a constant
size, so that what the driver does know, files and shards and counts, grows with it.

python -m benchmarks.driver_memory ARGUMENT ...   runs `longstrap synthesize ARGUMENT ...`, then tells its peak
"""

import gzip
import json
import random
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from benchmarks.record import run_measured, say

SCALES = (1, 4, 16)
DOCUMENTS_PER_FILE = 250
WORDS_PER_DOCUMENT = 300
NUM_SEEDS = 8
_KEY_VARIABLE = "LONGSTRAP_BENCHMARK_KEY"
_PEAK_LINE = re.compile(r"^peak_bytes (\d+)$", re.MULTILINE)


def measure_driver_memory(folder: Path, num_documents: int, ray_temp_dir: str) -> dict[str, Any]:
    """Run the job once a scale and read its driver's peak.

    Args:
        folder: Takes corpora, runs and logs.
        num_documents: Of the smallest corpus.
        ray_temp_dir: Short enough for sockets.

    Returns:
        `num_documents`, `peak_bytes` and `sec`, a number a scale.
    """
    embedder = folder / "embedder"
    write_tiny_embedder(embedder)
    measured: dict[str, Any] = {"num_documents": [], "peak_bytes": [], "sec": []}
    with endpoint_by_rule() as base_url:
        for scale in SCALES:
            count = scale * num_documents
            say(f"driver memory: {count:,} documents")
            corpus, log = folder / f"corpus-{scale}", folder / f"memory-{scale}.log"
            write_corpus(corpus, count)
            arguments = job_arguments(folder / f"run-{scale}", corpus, embedder, base_url, ray_temp_dir)
            sec = run_measured("benchmarks.driver_memory", arguments, log, {_KEY_VARIABLE: "any"})
            peak = _PEAK_LINE.search(log.read_text("utf-8"))
            assert peak, f"no peak in {log}"
            for name, value in (("num_documents", count), ("peak_bytes", int(peak[1])), ("sec", sec)):
                measured[name].append(value)
    return measured


def job_arguments(run_dir: Path, corpus: Path, embedder: Path, base_url: str, ray_temp_dir: str) -> list[str]:
    """Command line of `longstrap synthesize` for one corpus."""
    generator = {
        "type": "openai",
        "base_url": base_url,
        "api_key_env": _KEY_VARIABLE,
        "model": "rule",
        "tokenizer": "bundled:smollm2-135m-instruct",
        "max_model_tokens": 4096,
    }
    settings: dict[str, Any] = {
        "run_dir": str(run_dir),
        "corpus.sources.0.path": str(corpus),
        "corpus.passage_tokens": 512,
        "corpus.documents_per_shard": DOCUMENTS_PER_FILE,
        "retrieval.model": str(embedder),
        "retrieval.embedding_tokens": 128,
        "retrieval.batch_size": 64,
        "generator": generator,
        "dataset.target_lengths.0": {"min_tokens": 1500, "max_tokens": 2500},
        "dataset.num_long_input_seeds": NUM_SEEDS,
        "dataset.num_long_output_seeds": 0,
        "ray.temp_dir": ray_temp_dir,
    }
    arguments = ["--config", "laptop.yaml"]
    for name, value in settings.items():
        arguments += [f"--{name}", json.dumps(value)]
    return arguments


def write_corpus(folder: Path, num_documents: int, num_words: int = WORDS_PER_DOCUMENT) -> None:
    """Documents of words drawn from real ones: no two are alike, and all split into usual tokens."""
    words = sample_words()
    folder.mkdir()
    for first in range(0, num_documents, DOCUMENTS_PER_FILE):
        numbers = range(first, min(first + DOCUMENTS_PER_FILE, num_documents))
        rows = [
            json.dumps({"title": f"Document {number}", "text": _text(words, number, num_words)})
            for number in numbers
        ]
        (folder / f"{first:08d}.jsonl").write_text("\n".join(rows), "utf-8")


def sample_words() -> list[str]:
    """Words of real documents, each once."""
    sample = resources.files("app.models.bundled") / "data" / "public_domain_sample.jsonl.gz"
    lines = gzip.decompress(sample.read_bytes()).splitlines()[:20]
    return sorted({word for line in lines for word in re.findall(r"[a-z]{2,}", json.loads(line)["text"])})


def _text(words: Sequence[str], number: int, num_words: int) -> str:
    drawn = random.Random(number).choices(words, k=num_words)
    sentences = [" ".join(drawn[first : first + 15]).capitalize() for first in range(0, len(drawn), 15)]
    return ". ".join(sentences) + "."


def write_tiny_embedder(folder: Path) -> None:
    """A sentence-transformers model of one layer with random weights: it embeds thousands of passages a minute."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.manual_seed(0)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    pieces = [*special.values(), *letters, *(f"##{letter}" for letter in letters)]
    pieces += [f"##{first}{second}" for first in letters for second in letters]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    bare = folder.with_name(f"{folder.name}-bare")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(bare)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=128,
    )
    BertModel(config).save_pretrained(bare)
    transformer = Transformer(str(bare), max_seq_length=128)
    SentenceTransformer(modules=[transformer, Pooling(config.hidden_size)]).save(str(folder))


@contextmanager
def endpoint_by_rule() -> Iterator[str]:
    """Serve chat completions that pass as answers of each step; gives the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = reply_to(*(message["content"] for message in request["messages"]))
        answer = {
            "id": "0",
            "object": "chat.completion",
            "created": 0,
            "model": request["model"],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (the base class's name)
        pass


def reply_to(system: str, user: str) -> str:
    """A usable reply, made of the words that were sent."""
    if opening := re.search(r'Begin with "([^"]+)"', user):
        return f"{opening[1]} {' '.join(re.findall(r'[a-z]{4,}', user)[:14])}."
    if '{"notes"' in system:
        return '{"notes": [1]}'
    evidence = user.rpartition("Excerpt:")[2] if "Excerpt:" in user else user.partition("Note 1:")[2]
    return " ".join(evidence.split()[:25]) + "."


def read_peak_bytes() -> int:
    """Most memory that this process has had resident (`VmHWM`), shared pages included."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> int:
    """Be the driver of a synthesis."""
    from app.cli import main as longstrap

    code = longstrap(["synthesize", *sys.argv[1:]])
    print(f"peak_bytes {read_peak_bytes()}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
