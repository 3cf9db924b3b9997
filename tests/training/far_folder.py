import pyarrow.fs as pafs

from app.storage import Folder


class FarFolder(Folder):
    """A folder of this machine that, as far as anybody can tell, is on some other filesystem."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.filesystem, self.path = pafs.SubTreeFileSystem("/", self.filesystem), self.path.lstrip("/")

    def __truediv__(self, name: str) -> Folder:
        return FarFolder(f"{self.uri}/{name}")
