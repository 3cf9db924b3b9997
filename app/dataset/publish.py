"""A finished dataset → the Hugging Face Hub."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import pyarrow.fs as pafs

from app.config import PublishConfig
from app.dataset.card import CARD_FILE
from app.dataset.pictures import DEPTHS_PICTURE, LENGTHS_PICTURE
from app.dataset.shards import EXAMPLES_DIR
from app.dataset.statistics import STATISTICS_FILE
from app.faults import UserError
from app.storage import Folder, is_remote

PUBLISHED = [f"{EXAMPLES_DIR}/*.parquet", CARD_FILE, LENGTHS_PICTURE, DEPTHS_PICTURE, STATISTICS_FILE]
"""Seeds, rejects and bookkeeping stay here."""


class HubApi(Protocol):
    """What is used of `huggingface_hub.HfApi`."""

    def create_repo(self, repo_id: str, *, private: bool, repo_type: str, exist_ok: bool) -> Any: ...

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str,
        repo_type: str,
        allow_patterns: list[str],
        delete_patterns: list[str],
        commit_message: str,
    ) -> Any: ...


def publish_dataset(
    dataset: Folder, settings: PublishConfig, token: str | None, api: HubApi | None = None
) -> str | None:
    """Push a dataset's shards, card, pictures and statistics in one commit; shards of an older push go.

    Args:
        dataset: The finished dataset's folder.
        settings: Settings of `dataset.publish`. Without a `repo`, nothing is done.
        token: The Hub's, as read from `settings.token_env`.
        api: Stands in for the Hub's.

    Returns:
        Where the dataset is to be seen, or `None` when there was nothing to do.

    Raises:
        UserError: There is no token, or `repo` is no name that the Hub takes.
    """
    if settings.repo is None:
        return None
    if not token:
        raise UserError(
            f"dataset.publish.token_env: {settings.token_env} is not set, and publishing to "
            f"{settings.repo} needs a token with write access; set it, or leave out dataset.publish.repo"
        )
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    hub: HubApi = api or HfApi(token=token)
    try:
        hub.create_repo(settings.repo, private=settings.private, repo_type="dataset", exist_ok=True)
    except HFValidationError as error:
        raise UserError(
            f"dataset.publish.repo: {settings.repo!r} is not a valid name on the Hub; give OWNER/NAME"
        ) from error
    remote = is_remote(dataset.uri)
    with tempfile.TemporaryDirectory() if remote else nullcontext(dataset.path) as folder:
        if remote:
            _download(dataset, Path(folder))
        hub.upload_folder(
            repo_id=settings.repo,
            folder_path=folder,
            repo_type="dataset",
            allow_patterns=PUBLISHED,
            delete_patterns=[f"{EXAMPLES_DIR}/*.parquet"],
            commit_message="Dataset made with Longstrap",
        )
    return f"https://huggingface.co/datasets/{settings.repo}"


def _download(dataset: Folder, target: Path) -> None:
    """Copy what will be published: the Hub's client reads local files only."""
    for source, names in (
        (dataset, [CARD_FILE, LENGTHS_PICTURE, DEPTHS_PICTURE, STATISTICS_FILE]),
        (dataset / EXAMPLES_DIR, (dataset / EXAMPLES_DIR).list_names(".parquet")),
    ):
        place = target / EXAMPLES_DIR if source.path != dataset.path else target
        place.mkdir(exist_ok=True)
        for name in names:
            pafs.copy_files(
                source.file(name),
                str(place / name),
                source_filesystem=source.filesystem,
                destination_filesystem=pafs.LocalFileSystem(),
            )
