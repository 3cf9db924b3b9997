"""The base of all records: a JSON file that one job writes and others read, loaded by its type."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from app.faults import UserError
from app.storage import Folder


class Record(BaseModel):
    """A JSON file of known shape. A field that the type does not have is a fault, and so is one that is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def read(cls, folder: Folder, name: str) -> Self:
        """The record in a file.

        Raises:
            UserError: The file is damaged or of another shape; names the file.
        """
        try:
            return cls.model_validate_json(folder.read_bytes(name))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            reason = f"{place}: {first['msg']}" if place else first["msg"]
            raise UserError(
                f"{(folder / name).uri}: is damaged or of another version ({reason}); restore the file, or give "
                f"another run_dir"
            ) from error

    def write(self, folder: Folder, name: str) -> None:
        """Write the record, whole or not at all."""
        folder.write_json(name, self.values())

    def values(self) -> dict[str, Any]:
        """The record as JSON values."""
        return self.model_dump()
