"""An OpenAI-compatible endpoint on loopback that says whatever bytes it is told to."""

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@dataclass(frozen=True)
class Answer:
    """What the server says."""

    body: bytes | dict[str, Any] | list[Any] | str | None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_sec: float = 0.0
    raw: bytes | None = None
    """Sent in place of HTTP."""

    @property
    def payload(self) -> bytes:
        """The body as it is sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def chat(content: Any = "hi", finish_reason: Any = "stop", **more: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content},
        "finish_reason": finish_reason,
    }
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": USAGE,
    } | more


class BadServer:
    """Says one answer to everybody; but for what the client asks to find out whose fault it is, if it is told so."""

    def __init__(self) -> None:
        self.answer = Answer(chat())
        self.is_well_otherwise = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """With /v1."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(double) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                is_probe = asked["messages"][-1]["content"] == "Say yes."
                answer = Answer(chat("yes")) if is_probe and double.is_well_otherwise else double.answer
                threading.Event().wait(answer.delay_sec)
                if answer.raw is not None:
                    self.wfile.write(answer.raw)
                    return
                self.send_response(answer.status)
                known = {"Content-Type": "application/json", "Content-Length": str(len(answer.payload))}
                for name, value in (known | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                # A client that has heard enough may be gone.
                with contextlib.suppress(OSError):
                    self.wfile.write(answer.payload)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler
