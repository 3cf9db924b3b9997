"""A real Chromium without a screen, spoken to over its DevTools socket."""

import base64
import itertools
import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SEC = 60
ANSWER_SEC = 60
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """Path of the program, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class BrowserPage:
    """One open page. Its events are kept in the order of their arrival."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            received = self._receive()
            if received.get("id") == number:
                assert "error" not in received, received["error"]
                return received["result"]

    def open(self, uri: str) -> None:
        """Go to an address and wait until all of it is loaded."""
        num_before = len(self.named("Page.loadEventFired"))
        answer = self.command("Page.navigate", url=uri)
        assert "errorText" not in answer, answer
        while len(self.named("Page.loadEventFired")) == num_before:
            self._receive()

    def evaluate(self, expression: str) -> Any:
        """Value of an expression in the page."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width: int, height: int = 900, is_phone: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=is_phone,
        )

    def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def print_pdf(self) -> bytes:
        return base64.b64decode(self.command("Page.printToPDF", preferCSSPageSize=True)["data"])

    def named(self, method: str) -> list[dict[str, Any]]:
        """What the events of a name told."""
        return [event["params"] for event in self.events if event["method"] == method]

    def _receive(self) -> dict[str, Any]:
        received = json.loads(self._socket.recv(timeout=ANSWER_SEC))
        if "method" in received:
            self.events.append(received)
        return received


@contextmanager
def open_browser(program: str) -> Iterator[BrowserPage]:
    """Start a browser with a profile of its own, and end it and all that it started."""
    with tempfile.TemporaryDirectory(prefix="ls", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            url = _debugging_url(Path(profile) / "DevToolsActivePort", process)
            with connect(url, max_size=None, compression=None) as socket:
                yield BrowserPage(socket)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _debugging_url(file: Path, process: "subprocess.Popen[bytes]") -> str:
    end = time.monotonic() + START_SEC
    while time.monotonic() < end:
        lines = file.read_text().split("\n") if file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        time.sleep(0.1)
    raise TimeoutError(f"the browser did not say where to reach it within {START_SEC} s")
