"""What the bases with a name of their own are called; any other has the name of its folder."""

from __future__ import annotations

KOLORS = "kolors"
"""The base that the contest asks for."""

PICTUREBOOK = "picturebook"
"""The small base inside the package; also the source of drawn training pictures (`picturebook:STYLE`)."""

NAMED = (KOLORS, PICTUREBOOK)
