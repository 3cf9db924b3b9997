"""Ids of samples whose questions come from a user's file: a changed question is another sample, and asked again."""

import hashlib
import json
import re
from typing import Any

_UNSAFE = re.compile(r"[^\w.-]+")
MAX_NAME_CHARS = 64


def question_id(name: str, content: Any) -> str:
    """The name, and a hash of all that decides reply and score.

    Args:
        name: As in the file.
        content: JSON values.
    """
    text = json.dumps(content, sort_keys=True).encode("utf-8", "replace")
    return f"{_UNSAFE.sub('_', name)[:MAX_NAME_CHARS]}-{hashlib.sha256(text).hexdigest()[:8]}"
