"""An OpenAI-compatible endpoint on loopback that answers by rule, at once or late, and keeps what it was asked."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked was killed: just what these tests do."""


@dataclass(frozen=True)
class Served:
    """One answered request."""

    body_hash: str
    serial: int
    user: str


Fault = tuple[int, str]
"""Status and words; of status 200 the words are the reply."""
Reply = tuple[str, str]
"""Text and finish reason."""


class EndpointDouble:
    """`with EndpointDouble() as endpoint:` serves `endpoint.base_url`.

    Args:
        delay_sec: Of every answer.
        hangs: Says for which user messages no answer comes within a call's timeout.
        is_repeatable: The same question always has the same answer; else each answer is one of its kind.
        fault: Takes the system message and how many were answered; gives a status and words, which refuse, or None.
        reply: Takes system message, user message and a number; gives the answer and why it ended.
    """

    def __init__(
        self,
        delay_sec: float = 0.0,
        hangs: Callable[[str], bool] = lambda user: False,
        is_repeatable: bool = False,
        fault: Callable[[str, int], Fault | None] = lambda system, num_served: None,
        reply: Callable[[str, str, int], Reply] | None = None,
    ) -> None:
        self.delay_sec = delay_sec
        self.hangs = hangs
        self.is_repeatable = is_repeatable
        self.fault = fault
        self.reply = reply or (lambda system, user, serial: (reply_to(system, user, serial), "stop"))
        self.num_refused = 0
        self.served: list[Served] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> "EndpointDouble":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, body: bytes) -> tuple[int, dict]:
        request = json.loads(body)
        system, user = (message["content"] for message in request["messages"])
        if self.hangs(user):
            self._stopping.wait(30)
        time.sleep(self.delay_sec)
        found = self.fault(system, len(self.served))
        if found and found[0] != 200:
            self.num_refused += 1
            return found[0], {"error": {"message": found[1]}}
        with self._lock:
            serial = len(self.served)
            self.served.append(Served(hashlib.sha256(body).hexdigest(), serial, user))
        digest = hashlib.sha256((system + user).encode()).hexdigest()
        number = int(digest[:6], 16) if self.is_repeatable else serial
        text, finish_reason = (found[1], "stop") if found else self.reply(system, user, number)
        return 200, {
            "id": str(serial),
            "object": "chat.completion",
            "created": 0,
            "model": request["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": finish_reason,
                }
            ],
            "usage": {"prompt_tokens": len(user.split()), "completion_tokens": 8, "total_tokens": 0},
        }

    def _handler(double) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, answer = double.answer(self.rfile.read(int(self.headers["Content-Length"])))
                payload = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler


def reply_to(system: str, user: str, serial: int) -> str:
    """A usable answer to each step, with a number of its own."""
    opening = re.search(r'Begin with "([^"]+)"', user)
    if opening:
        subject = " ".join(re.findall(r"\w{4,}", user)[:12])
        return f"{opening[1]} {subject} number {serial}."
    if '{"notes"' in system:
        return json.dumps({"notes": choose_notes(user)})
    if "take notes" in system:
        excerpt = user.partition("Excerpt:")[2].rpartition("Notes:")[0]
        return f"By call {serial}: " + " ".join(excerpt.split()[:20]) + "."
    facts = [" ".join(note.split()[:20]) for note in re.findall(r"Note \d+: (.+)", user)]
    return f"Answer {serial} rests on these words: " + " ".join(facts)


def choose_notes(user: str) -> list[int]:
    """The first note, and the first after it that was taken from another document."""
    shown = re.findall(r"Note (\d+)(?: \(document (\d+)[^)]*\))?: ", user)
    others = [number for number, document in shown if document != shown[0][1]]
    return [int(number) for number, _ in shown[:1]] + [int(number) for number in others[:1]]


def reply_in_chinese(system: str, user: str, serial: int) -> Reply:
    """The same in Chinese, without a single blank; answers are cut in the middle of a sentence."""
    opening = re.search(r'Begin with "([^"]+)"', user)
    clauses = re.findall(r"[\u4e00-\u9fff]{4,}", user) or ["没有"]
    if opening:
        return f"{opening[1]} {clauses[serial % len(clauses)]}与{clauses[-1]}的车数，并说明差异。", "stop"
    if '{"notes"' in system:
        return json.dumps({"notes": choose_notes(user)}), "stop"
    if "take notes" in system:
        return "，".join(clauses[4:12]) + f"，共{serial}车。", "stop"
    sentences = "".join(f"{clause}，共{number}车。" for number, clause in enumerate(clauses[:20]))
    return f"{sentences}最后一句没有写", "length"
