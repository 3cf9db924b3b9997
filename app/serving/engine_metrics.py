"""vLLM's own metrics, as Ray exports them among its own: one endpoint per node."""

from collections.abc import Sequence

PREFIX = "ray_vllm"
TIMEOUT_SEC = 2.0


async def read_node_metrics(host: str, port: int) -> str:
    """What one node exports; nothing where it can't be read, as metrics must not fail for a node on its way out."""
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SEC)) as session,
            session.get(f"http://{host}:{port}/metrics") as response,
        ):
            return await response.text() if response.status == 200 else ""
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""


def engine_lines(exports: Sequence[str]) -> bytes:
    """The engines' families of several exports as one; each family is described once and stands together."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for text in exports:
        name = ""
        for line in text.splitlines():
            words = line.split(" ", 3)
            if words[:2] in (["#", "HELP"], ["#", "TYPE"]):
                name = words[2]
                about, _ = families.setdefault(name, ([], []))
                if line not in about:
                    about.append(line)
            elif name and not line.startswith("#"):
                families[name][1].append(line)
    kept = [
        line
        for name, (about, samples) in families.items()
        if name.startswith(PREFIX)
        for line in (*about, *samples)
    ]
    return "".join(f"{line}\n" for line in kept).encode()
