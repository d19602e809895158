"""How tall and how broad each kind of person is, in figure units."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kolors_submit.picturebook.scenes import Kind


@dataclass(frozen=True)
class Build:
    """Heights (y, negative upwards) and half widths of one body; `size` scales the head's units."""

    head: float
    size: float
    shoulder: float
    waist: float
    hip: float
    shoulders: float
    waists: float
    hips: float
    leg: float

    def lowered(self, hip: float) -> Build:
        """The same upper body with its hip at that height, for sitting."""
        dy = hip - self.hip
        return replace(self, head=self.head + dy, shoulder=self.shoulder + dy, waist=self.waist + dy, hip=hip)


BUILDS: dict[Kind, Build] = {
    "girl": Build(-61.5, 1.0, -44.5, -31.5, -25.0, 9.0, 8.0, 9.5, 5.6),
    "boy": Build(-60.5, 0.97, -44.0, -31.0, -24.0, 9.8, 9.2, 9.4, 6.2),
    "woman": Build(-80.0, 0.97, -63.0, -47.0, -38.0, 10.6, 8.0, 10.6, 6.0),
    "man": Build(-79.5, 0.95, -63.0, -46.0, -36.0, 14.2, 11.6, 11.2, 7.6),
    "grandmother": Build(-69.0, 0.97, -52.5, -38.0, -30.0, 11.4, 11.4, 13.0, 6.4),
    "grandfather": Build(-73.0, 0.95, -56.0, -40.0, -31.0, 12.8, 12.8, 12.4, 7.2),
}
