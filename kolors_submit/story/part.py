"""What all parts of a story share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_LINE = 200
"""Characters of what stands as one line on the sheet, the page and the card; the sheet shows fewer."""

Line = Annotated[str, Field(max_length=MAX_LINE)]
Text = Annotated[str, Field(max_length=10_000)]


class Part(BaseModel):
    """What all parts of a story share: no unknown keys, no infinite numbers, and a loaded part does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)
