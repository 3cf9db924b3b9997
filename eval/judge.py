"""Asks a judge what replies are worth, once each: its verdicts are kept beside the records."""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.config import EvaluateConfig, JudgeConfig, identity
from app.endpoints.client import EndpointClient, EndpointFields
from app.endpoints.keys import read_api_key
from app.endpoints.replies import RequestError
from app.faults import UserError
from app.storage import Folder
from eval.records import Record
from eval.thoughts import split_thought

VERDICTS_FILE = "verdicts.json"
WRITE_EVERY = 20
"""Verdicts that a killed job loses at most."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of a reply."""

    score: float | None
    """In [0, 1]; None: it could not be read, or the request failed."""
    said: str


def read_verdict(text: str, verdicts: Mapping[str, float]) -> float | None:
    """The score of the last verdict in a judge's reply, without its thought; None: it gives none.

    Args:
        text: The reply.
        verdicts: Score by word.
    """
    scores = {word.lower(): score for word, score in verdicts.items()}
    found = re.findall(rf"\b({'|'.join(scores)})\b", split_thought(text)[1].lower())
    return scores[found[-1]] if found else None


def judge_of(settings: EvaluateConfig, suite: str) -> JudgeConfig:
    """The judge of a suite that has one."""
    judge: JudgeConfig = getattr(settings, suite).judge
    return judge


def check_judge(settings: EvaluateConfig, suite: str) -> None:
    """Refuse settings without the judge that a suite needs.

    Raises:
        UserError: The URL or the model is missing.
    """
    judge = judge_of(settings, suite)
    if judge.url is None or not judge.model:
        field = "url" if judge.url is None else "model"
        raise UserError(
            f"evaluate.{suite}.judge.{field}: is missing, but a judge scores; give the URL of an OpenAI-compatible "
            f"endpoint and the name of the model there"
        )


def known_verdicts(folder: Folder) -> dict[str, Verdict]:
    """The verdicts in a folder of records, by `verdict_key`."""
    if not folder.exists(VERDICTS_FILE):
        return {}
    return {key: Verdict(**verdict) for key, verdict in folder.read_json(VERDICTS_FILE).items()}


def verdict_key(judge: JudgeConfig, record: Record) -> str:
    """Hash of all that a verdict depends on."""
    assert record.reply is not None
    decides = [identity(judge), record.facts["question"], record.references, record.reply.text]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode("utf-8", "replace")).hexdigest()[:24]


def judge_records(
    settings: EvaluateConfig,
    suite: str,
    records: Sequence[Record],
    folder: Folder,
    report: Callable[[str], None],
) -> dict[str, Verdict]:
    """Verdicts on all replies, of which those that were given before are not asked for again.

    Args:
        settings: With the judge.
        suite: Name of the suite, whose judge it is.
        records: With replies that have a text.
        folder: Keeps the verdicts.
        report: Gets progress.

    Raises:
        UserError: The judge's endpoint refuses every request, or does not answer.
    """
    judge = judge_of(settings, suite)
    check_judge(settings, suite)
    verdicts = known_verdicts(folder)
    missing = {
        key: record
        for record in records
        if (known := verdicts.get(key := verdict_key(judge, record))) is None or known.score is None
    }
    if missing:
        report(f"{suite}: {judge.model} judges {len(missing):,} replies")
        asyncio.run(_ask_all(settings, suite, missing, verdicts, folder))
    return verdicts


async def _ask_all(
    settings: EvaluateConfig,
    suite: str,
    missing: dict[str, Record],
    verdicts: dict[str, Verdict],
    folder: Folder,
) -> None:
    judge = judge_of(settings, suite)
    assert judge.url is not None
    fields = EndpointFields(
        url=f"evaluate.{suite}.judge.url",
        model=f"evaluate.{suite}.judge.model",
        key=f"evaluate.{suite}.judge.api_key_env",
        key_env=judge.api_key_env,
        timeout="evaluate.request_timeout_sec",
    )
    key = read_api_key(fields.key, judge.api_key_env)
    client = EndpointClient(fields, judge.url, key, settings.request_timeout_sec, settings.num_retries)
    places = asyncio.Semaphore(settings.num_concurrent_requests)

    def write() -> None:
        folder.write_json(VERDICTS_FILE, {name: asdict(verdict) for name, verdict in verdicts.items()})

    async def ask(name: str, record: Record) -> None:
        async with places:
            verdicts[name] = await _verdict(client, judge, record)
        if len(verdicts) % WRITE_EVERY == 0:
            write()

    try:
        async with asyncio.TaskGroup() as tasks:
            for name, record in missing.items():
                tasks.create_task(ask(name, record))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        write()
        await client.close()


async def _verdict(client: EndpointClient, judge: JudgeConfig, record: Record) -> Verdict:
    assert record.reply is not None
    values = {
        "question": record.facts["question"],
        "answer": " or ".join(record.references),
        "reply": record.reply.text,
    }
    # All at once: what a reply says in braces is no placeholder.
    asked = re.sub(r"\{(question|answer|reply)\}", lambda match: str(values[match[1]]), judge.prompt)
    arguments: dict[str, Any] = {
        "model": judge.model,
        "messages": [{"role": "user", "content": asked}],
        "max_tokens": judge.max_output_tokens,
        "temperature": 0.0,
    }
    try:
        reply = await client.ask("chat", arguments)
    except RequestError as error:
        return Verdict(None, str(error))
    return Verdict(read_verdict(reply.text, judge.verdicts), reply.text)
