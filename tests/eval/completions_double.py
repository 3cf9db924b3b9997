"""An endpoint on loopback that answers completions and chats by a script, and keeps what it was asked."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What the script says to one request."""

    text: Any = "yes"
    status: int = 200
    message: str = "refused"
    delay_sec: float = 0.0
    num_prompt_tokens: int | None = None
    """None: as many as were sent."""
    num_cached_tokens: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    finish_reason: str | None = "stop"
    error: dict[str, Any] = field(default_factory=dict)
    """More of a refusal's body, such as a code."""
    body: Any = None
    """Sent in place of a completion."""
    message_fields: dict[str, Any] = field(default_factory=dict)
    """More of a chat's message, such as `reasoning_content`."""


Script = Callable[[dict[str, Any]], Answer]


class CompletionsDouble:
    """`with CompletionsDouble(script) as endpoint:` serves `endpoint.url`."""

    def __init__(self, script: Script = lambda body: Answer(), models: tuple[str, ...] = ("m",)) -> None:
        self.script = script
        self.models = models
        self.model_fields: dict[str, Any] = {"owned_by": "x"}
        """More of each model in /models."""
        self.models_body: bytes | None = None
        """Sent in place of the list of models."""
        self.asked: list[dict[str, Any]] = []
        """Bodies of all requests, in order."""
        self.keys: list[str | None] = []
        self.num_at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> "CompletionsDouble":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: dict[str, Any], key: str | None) -> tuple[int, dict[str, str], Any]:
        with self._lock:
            self.asked.append(body)
            self.keys.append(key)
            self.num_at_once += 1
            self.most_at_once = max(self.most_at_once, self.num_at_once)
        answer = self.script(body)
        time.sleep(answer.delay_sec)
        with self._lock:
            self.num_at_once -= 1
        if answer.status != 200:
            return (
                answer.status,
                answer.headers,
                {"error": {"message": answer.message, "code": answer.status, **answer.error}},
            )
        if answer.body is not None:
            return 200, {}, answer.body
        # Of a chat about as many as there are, and rather too many.
        prompt = body.get("prompt") or "".join(m["content"] for m in body.get("messages", []))[::2]
        sent = len(prompt) if answer.num_prompt_tokens is None else answer.num_prompt_tokens
        usage = {
            "prompt_tokens": sent,
            "completion_tokens": 2,
            "total_tokens": sent + 2,
            "prompt_tokens_details": {"cached_tokens": answer.num_cached_tokens},
        }
        choice: dict[str, Any] = {"index": 0, "finish_reason": answer.finish_reason}
        if path.endswith("/chat/completions"):
            choice["message"] = {"role": "assistant", "content": answer.text, **answer.message_fields}
        else:
            choice["text"] = answer.text
        return (
            200,
            {},
            {"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage},
        )

    def _handler(double) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                listed = [
                    {"id": name, "object": "model", "created": 1, **double.model_fields}
                    for name in double.models
                ]
                self._send(200, {}, double.models_body or {"object": "list", "data": listed})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._send(*double.answer(self.path, body, self.headers.get("Authorization")))

            def _send(self, status: int, headers: dict[str, str], content: Any) -> None:
                payload = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(payload))}.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler
