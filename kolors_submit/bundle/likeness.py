"""Whether two pictures show the same, whatever a lossy format did to one of them."""

from __future__ import annotations

from PIL import Image, ImageChops

BLOCK = 8
"""Pictures are compared by the mean colour of squares of so many pixels: a format's noise is finer than these."""

MOST = 24
"""Of 255, that two squares may differ in a colour; a digit that was changed differs by more."""


def difference(picture: Image.Image, meant: Image.Image) -> str | None:
    """What is different in a picture from the one that is meant, or None; each is read no further than its size."""
    if picture.size != meant.size:
        return f"has {picture.width}x{picture.height} pixels, not {meant.width}x{meant.height}"
    if getattr(picture, "n_frames", 1) > 1:
        return "has several frames"
    small = (-(-meant.width // BLOCK), -(-meant.height // BLOCK))
    one, other = (image.convert("RGB").resize(small, Image.Resampling.BOX) for image in (picture, meant))
    worst = [band.point(lambda value: 255 * (value > MOST)) for band in ImageChops.difference(one, other).split()]
    boxes = [box for band in worst if (box := band.getbbox()) is not None]
    if not boxes:
        return None
    left, top = (min(box[side] for box in boxes) * BLOCK for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) * BLOCK for side in (2, 3))
    return f"shows something else between {left}, {top} and {right}, {bottom}"
