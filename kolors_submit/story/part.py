"""What all parts of a story share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_LINE = 200
"""Characters of what stands as one line on the sheet, the page and the card; the sheet shows fewer."""


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1:
        raise ValueError("has a line break; it has to be one line")
    return text


Line = Annotated[str, Field(max_length=MAX_LINE), AfterValidator(_one_line)]
Text = Annotated[str, Field(max_length=10_000)]


class Part(BaseModel):
    """What all parts of a story share: no unknown keys, no infinite numbers, and a loaded part does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)
