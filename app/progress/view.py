"""Shows a running synthesis: a live panel on a terminal, one line per minute in a log, and the same as JSONL."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.progress.counts import Counters, Meter, Reading
from app.quantities import duration, short
from app.storage import Folder

MAX_SHOWN_STEPS = 5
MAX_SHOWN_REASONS = 4


class ProgressView:
    """Displays the counters.

    Args:
        folder: Folder for `progress-START.jsonl`; None writes no file.
        log_interval_sec: Between two records of that file, and between two lines where there is no terminal.
        console: Console to print to. By default, standard output.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        folder: Folder | None,
        log_interval_sec: float,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console or Console()
        self._folder = folder
        self._interval_sec = log_interval_sec
        self._clock = clock
        self._meter = Meter(clock)
        self._started = datetime.now(UTC)
        self._records: list[str] = []
        self._next_log = clock() + log_interval_sec
        self._live: Live | None = None

    def start(self) -> None:
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False)
            self._live.start()

    def update(self, counters: Counters) -> None:
        """Show the newest counters; log them when the interval is over."""
        reading = self._meter.read(counters)
        if self._live:
            self._live.update(panel(reading), refresh=True)
        if self._clock() >= self._next_log:
            self._next_log = self._clock() + self._interval_sec
            self._log(reading)

    def tell(self, text: str) -> None:
        """Show a line that stays, above the panel."""
        if self._live:
            self._live.console.print(text, style="bold yellow", markup=False, highlight=False)
        else:
            self.console.file.write(text + "\n")
            self.console.file.flush()

    def close(self, counters: Counters | None) -> None:
        """Show and log the last counters and give the terminal back."""
        reading = self._meter.read(counters) if counters else None
        if self._live:
            if reading:
                self._live.update(panel(reading), refresh=True)
            self._live.stop()
            self._live = None
        if reading:
            self._log(reading)

    def _log(self, reading: Reading) -> None:
        if not self.console.is_terminal:
            self.console.file.write(line(reading) + "\n")
            self.console.file.flush()
        if self._folder:
            record = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **reading.record()}
            self._records.append(json.dumps(record) + "\n")
            # Object stores cannot append. A line a minute: a day's file is rewritten in half a megabyte.
            name = f"progress-{self._started:%Y%m%dT%H%M%SZ}.jsonl"
            self._folder.write_bytes(name, "".join(self._records).encode())


def line(reading: Reading) -> str:
    """A reading as one line of a log."""
    counters, total = reading.counters, reading.counters.total
    parts = [
        f"seeds {counters.num_seeds_done:,} of {counters.num_seeds:,} ({_percent(counters)})",
        f"examples {counters.num_examples:,}",
        f"rejects {counters.num_rejects:,}{_reasons(counters)}",
        f"calls {total.calls:,} ({reading.calls_per_sec:,.1f}/s)",
        f"tokens in {reading.prompt_tokens_per_sec:,.0f}/s out {reading.output_tokens_per_sec:,.0f}/s",
        f"{duration(reading.elapsed_sec)} elapsed",
        f"{duration(reading.sec_left)} left",
    ]
    if total.replayed:
        parts.insert(4, f"replayed {total.replayed:,}")
    return " | ".join(parts)


def panel(reading: Reading) -> Panel:
    """A reading as a panel of at most 12 lines."""
    counters, total = reading.counters, reading.counters.total
    seeds = Table.grid(padding=(0, 2), expand=True)
    seeds.add_column(width=8)
    seeds.add_column(ratio=1)
    seeds.add_column(no_wrap=True)
    bar = ProgressBar(total=max(counters.num_seeds, 1), completed=counters.num_seeds_done)
    seeds.add_row(
        Text("seeds", style="bold"),
        bar,
        f"{counters.num_seeds_done:,} of {counters.num_seeds:,}  {_percent(counters)}",
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_column(width=8)
    facts.add_column(no_wrap=True, overflow="ellipsis")
    before = (
        f", {counters.num_seeds_done_before:,} seeds done before" if counters.num_seeds_done_before else ""
    )
    facts.add_row(
        "",
        f"{counters.num_examples:,} examples, {counters.num_rejects:,} rejects{_reasons(counters)}{before}",
    )
    replayed = f", {total.replayed:,} replayed" if total.replayed else ""
    facts.add_row(
        Text("calls", style="bold"), f"{total.calls:,} made, {reading.calls_per_sec:,.1f}/s{replayed}"
    )
    cached = f" ({total.cached_tokens / total.prompt_tokens:.0%} from cache)" if total.cached_tokens else ""
    facts.add_row(
        Text("tokens", style="bold"),
        f"in {short(total.prompt_tokens)} {reading.prompt_tokens_per_sec:,.0f}/s{cached}, "
        f"out {short(total.output_tokens)} {reading.output_tokens_per_sec:,.0f}/s",
    )
    shown = sorted(counters.steps.items(), key=lambda item: -item[1].output_tokens)[:MAX_SHOWN_STEPS]
    steps = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(shown))
    steps.add_column("step")
    for name in ("calls", "tokens in", "tokens out"):
        steps.add_column(name, justify="right")
    for step, counts in shown:
        steps.add_row(step, f"{counts.calls:,}", short(counts.prompt_tokens), short(counts.output_tokens))
    return Panel(
        Group(seeds, facts, steps),
        title="[bold]longstrap synthesize[/]",
        title_align="left",
        subtitle=f"{duration(reading.elapsed_sec)} elapsed, {duration(reading.sec_left)} left",
        subtitle_align="right",
        border_style="cyan",
    )


def _percent(counters: Counters) -> str:
    # Rounded down, so that 100% means all.
    return f"{100 * counters.num_seeds_done // max(counters.num_seeds, 1)}%"


def _reasons(counters: Counters) -> str:
    if not counters.rejects:
        return ""
    most = sorted(counters.rejects.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{reason} {number:,}" for reason, number in most[:MAX_SHOWN_REASONS])
    return f" ({text}{', …' if len(most) > MAX_SHOWN_REASONS else ''})"
