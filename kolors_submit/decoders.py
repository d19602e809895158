"""Which of Pillow's decoders a picture's bytes may reach: it has dozens, and that of EPS starts Ghostscript."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

UNSOUND = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, Image.DecompressionBombError)
"""What Pillow raises for a file that is not a sound picture; RuntimeError is AVIF's."""


def open_picture(source: Path | IO[bytes]) -> Image.Image:
    """A picture's file with its header read; raises UnidentifiedImageError for any format that is not in FORMATS."""
    return Image.open(source, formats=FORMATS)
