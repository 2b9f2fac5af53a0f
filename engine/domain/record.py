"""The base of every config and every piece of metadata that is saved as JSON."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, strict about unknown fields; equal records compare equal."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), serialize_by_alias=True)

    def to_json(self) -> str:
        """Indented JSON, floats kept exactly, with a newline at the end."""
        return self.model_dump_json(indent=1) + "\n"
