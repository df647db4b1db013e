"""Settings that are read from files: what an orchestrator mounts as secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from pydantic_settings import PydanticBaseSettingsSource

from atum_schema.errors import SettingsError

PREFIX: Final = "ATUM_"


class FileSource(PydanticBaseSettingsSource):
    """Reads ATUM_X_FILE for every setting X. Raises `SettingsError` for a file that cannot be read, or a value given twice."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        del field
        variable = f"{PREFIX}{field_name.upper()}"
        path = os.environ.get(f"{variable}_FILE")
        if path is None:
            return None, field_name, False
        if variable in os.environ:
            raise SettingsError(f"{variable} and {variable}_FILE are both set; keep one")
        try:
            return Path(path).read_text("utf-8").removesuffix("\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable}_FILE: cannot read {path}: {error.__class__.__name__}") from None

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(None, name)[0] for name in self.settings_cls.model_fields}
        return {name: value for name, value in values.items() if value is not None}
