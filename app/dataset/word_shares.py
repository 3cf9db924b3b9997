"""How common the words of a corpus are, counted on a sample of its passages: `word_shares.json` of a dataset."""

import pyarrow.parquet as pq

from app.agent.words import common_shares
from app.run import PASSAGES_DIR
from app.storage import Folder
from app.text.words import content_words

WORD_SHARES_FILE = "word_shares.json"
MAX_PASSAGES = 4096
MAX_PARTS = 16


def write_word_shares(corpus: Folder, dataset: Folder) -> None:
    """Count the words of passages from all over the corpus; the same corpus gives the same counts."""
    shares = common_shares(content_words(text) for text in sample_passages(corpus))
    dataset.write_json(WORD_SHARES_FILE, shares)


def sample_passages(corpus: Folder, max_passages: int = MAX_PASSAGES) -> list[str]:
    """Texts of at most that many passages: row groups from parts that lie evenly over it."""
    folder = corpus / PASSAGES_DIR
    names = folder.list_names(".parquet")
    names = names[:: max(len(names) // MAX_PARTS, 1)][:MAX_PARTS]
    most = max_passages // max(len(names), 1)
    texts: list[str] = []
    for name in names:
        with pq.ParquetFile(folder.file(name), filesystem=folder.filesystem) as part:
            groups = range(0, part.num_row_groups, max(part.metadata.num_rows // most, 1))
            found = part.read_row_groups(list(groups), columns=["text"])["text"].to_pylist()
        texts += found[:most]
    return texts
