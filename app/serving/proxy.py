"""What Serve's HTTP proxy looks at before it knows a request: it would fail on headers that are no UTF-8.

Serve calls `middlewares` where RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names it.
"""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.serving.replies import RequestError
from app.serving.sending import error_response


def middlewares() -> list[Middleware]:
    """Of the proxy of every application on this Serve."""
    return [Middleware(HeaderCheck)]


class HeaderCheck:
    """Refuses a request with a header that is no ASCII, save the key's: that is compared as bytes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: pass a request on, or refuse it."""
        wrong = [name for name, value in scope.get("headers", ()) if not (name + value).isascii()]
        if scope["type"] == "http" and set(wrong) - {b"authorization"}:
            shown = wrong[0].decode("ascii", "replace")
            refusal = RequestError(400, f"the header {shown} is not ASCII; send it without such signs")
            await error_response(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)
