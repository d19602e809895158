"""Composition: who and what stands where, and how large, for a scene's view and the frame's width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .figures import Figure, animal, person
from .figures.heads import CHILDREN
from .scenes import Person, Scene
from .world import HEIGHT, Light, Sheet, props

Box = tuple[float, float, float, float]
GAP = 4.0  # figure units of clear air between neighbours
LARGEST = 2.8  # frame units a figure unit in full view: who sits is drawn larger, so that the face stays readable


@dataclass(frozen=True)
class Placed:
    """A figure in the frame: its ground point and its size in frame units a figure unit."""

    figure: Figure
    x: float
    y: float
    scale: float

    def box(self, of: Box) -> Box:
        """A box of figure units in frame units."""
        x0, y0, x1, y1 = of
        return self.x + x0 * self.scale, self.y + y0 * self.scale, self.x + x1 * self.scale, self.y + y1 * self.scale

    @property
    def extent(self) -> Box:
        """What the figure covers, in frame units."""
        return self.box(self.figure.extent)

    @property
    def head(self) -> Box:
        """Where its head is, in frame units."""
        return self.box(self.figure.head)


@dataclass(frozen=True)
class Vessel:
    """The bridge or boat that the people stand in: its ground point, its size, and half its length in figure units."""

    name: str
    x: float
    y: float
    scale: float
    half: float


@dataclass(frozen=True)
class Layout:
    """Everything that is put before a place, from back to front."""

    behind: tuple[Placed, ...]  # furniture
    people: tuple[Placed, ...]
    animals: tuple[Placed, ...]
    vessel: Vessel | None


def arrange(scene: Scene, width: float, light: Light, side: int, rng: Random) -> Layout:
    """Where everything of a scene goes in a frame `width` wide and 256 high; `side` is where the motif is."""
    people = _people(scene, side, light.night, rng)
    ridden = any(p.pose == "riding" for p in scene.people)
    pet = None
    thing = _thing(scene, light, side)
    if scene.animal != "none" and not (scene.animal == "horse" and ridden):
        outward = side if thing is None else -side
        away = scene.animal == "horse" and (scene.view != "full" or len(people) > 1)  # it stands behind them
        pet = animal(scene.animal, facing=outward if away else -outward, rng=rng)
    compose = _full if scene.view == "full" else _near
    return compose(scene, people, pet, thing, width, side)


def _people(scene: Scene, side: int, night: bool, rng: Random) -> list[Figure]:
    """The figures from left to right; two of them face each other, one faces the motif."""
    out = []
    for i, who in enumerate(scene.people):
        facing = (1 if i == 0 else -1) if len(scene.people) > 1 else side
        out.append(person(who, view=scene.view, facing=facing, rng=rng, prefix=f"p{i}", night=night))
    return out


_FURNITURE: dict[str, Callable[[Sheet, Light, int], props.Extent]] = {
    "easel": props.easel, "book": props.book, "desk": props.desk, "table": props.table, "bed": props.bed,
}  # fmt: skip


def _thing(scene: Scene, light: Light, side: int) -> Figure | None:
    """The piece of furniture beside the people, unless a figure already holds or uses it."""
    poses = [p.pose for p in scene.people]
    name = "easel" if "painting" in poses else scene.prop
    used = (name == "book" and "reading" in poses) or (name == "bed" and "sleeping" in poses)
    if name not in _FURNITURE or used:
        return None
    sheet = Sheet("t")
    extent = _FURNITURE[name](sheet, light, -side)
    return Figure(str(sheet), extent, extent)


_SHOWN = {"bed": 0.56, "desk": 0.66, "table": 0.7}
"""How much of a piece's width needs room of its own: it stands further back, and people may cover the rest."""


def _height(figure: Figure) -> float:
    return figure.extent[3] - figure.extent[1]


def _share(figure: Figure) -> float:
    return figure.extent[2] - figure.extent[0]


def _full(
    scene: Scene, people: list[Figure], pet: Figure | None, thing: Figure | None, width: float, side: int
) -> Layout:
    """One row on the ground; a bridge or a boat lifts it."""
    vessel = scene.prop if scene.prop in ("bridge", "boat") else None
    ground = {"bridge": 206.0, "boat": 224.0, None: 240.0}[vessel]
    row = _row(scene, people, pet, thing, side)
    total = sum(_share(figure) * part for figure, part in row) + GAP * (len(row) - 1)
    tallest = max(-figure.extent[1] for figure in people)
    scale = min(LARGEST, 0.84 * HEIGHT / tallest, (ground - 8) / tallest, 0.97 * width / total)
    x = (width - total * scale) / 2
    if len(row) == 1 and not vessel:
        x -= side * min(0.13 * width, x - 0.03 * width)
    placed: list[Placed] = []
    for i, (figure, part) in enumerate(row):
        span, size = _share(figure) * part * scale, max(scale, 1.4) if part < 1 else scale
        whole = _share(figure) * size
        left = x if i == 0 else x + span - whole  # what needs less room than it has reaches inwards, behind the people
        lift = -10.0 if part < 1 else 6.0 if figure is pet and not vessel else 0.0
        placed.append(Placed(figure, left - figure.extent[0] * size, ground + lift, size))
        x += span + GAP * scale
    back = tuple(p for p, (_, part) in zip(placed, row, strict=True) if part < 1)
    stand = tuple(p for figure in people for p in placed if p.figure is figure)
    beside = tuple(p for p in placed if p.figure is pet and p not in back)
    return Layout(back, stand, beside, _vessel(vessel, [*stand, *beside], width, ground, scale))


def _row(
    scene: Scene, people: list[Figure], pet: Figure | None, thing: Figure | None, side: int
) -> list[tuple[Figure, float]]:
    """Who stands beside whom from left to right, and what part of its width each needs; the motif's side comes last."""
    row = [(figure, 1.0) for figure in (people if side > 0 else people[::-1])]
    if pet is not None:
        room = 0.6 if scene.animal == "horse" and len(people) > 1 else 1.0
        row.insert(len(row) if thing is None else 0, (pet, room))
    if thing is not None:
        row.append((thing, _SHOWN.get(scene.prop, 0.86) * (0.75 if len(row) > 2 else 1.0)))
    return row if side > 0 else row[::-1]


def _vessel(name: str | None, crew: list[Placed], width: float, ground: float, scale: float) -> Vessel | None:
    """A bridge from edge to edge, or a boat that holds its crew."""
    if name == "bridge":
        return Vessel(name, width / 2, ground, scale, max(width * 0.47 / scale, 60))
    if name == "boat":
        left, right = min(p.extent[0] for p in crew), max(p.extent[2] for p in crew)
        return Vessel(name, (left + right) / 2, ground, scale, max((right - left) / 2 / scale + 4, 46))
    return None


_NEAR_HEIGHT = {"cat": 0.34, "dog": 0.36, "bird": 0.2, "horse": 0.78}
"""How high an animal is in half and close views, as a part of the frame."""
_NEAR_SIZE = {"book": 2.0, "easel": 2.3, "desk": 2.1, "table": 2.1, "bed": 2.2}
"""Frame units a figure unit for furniture in half and close views."""


def _near(
    scene: Scene, people: list[Figure], pet: Figure | None, thing: Figure | None, width: float, side: int
) -> Layout:
    """Waist up or head and shoulders; animal and furniture in the lower corners."""
    alone = 0.5 - side * (0.15 if pet is not None or thing is not None else 0.07)
    spots = (0.28, 0.72) if len(people) == 2 else (alone,)
    cuts = [_cut(who, figure, scene.view) for who, figure in zip(scene.people, people, strict=True)]
    tallest = max(-figure.extent[1] for figure in people)
    scale = min(
        0.88 * HEIGHT / (tallest - min(cuts)), *(_breadth(figure, scene.view, len(people), width) for figure in people)
    )
    ground = HEIGHT + min(cuts) * scale
    placed = [
        Placed(figure, width * spot - (figure.head[0] + figure.head[2]) / 2 * scale, ground, scale)
        for spot, figure in zip(spots, people, strict=True)
    ]
    behind, pets = _beside(scene, pet, thing, width, side if len(people) == 1 else 0)
    vessel = None
    if scene.prop in ("bridge", "boat"):
        low = (6 if scene.view == "half" else 26) - (8 if scene.prop == "bridge" else 0)
        vessel = Vessel(scene.prop, width / 2, HEIGHT + low, 2.4, width * 0.46 / 2.4)
    return Layout(behind, tuple(placed), pets, vessel)


def _beside(
    scene: Scene, pet: Figure | None, thing: Figure | None, width: float, corner: int
) -> tuple[tuple[Placed, ...], tuple[Placed, ...]]:
    """Furniture (and a horse) behind people seen near, and a small animal before them; `corner` 0 is the middle."""
    behind, front = [], []
    if thing is not None:
        name = "easel" if any(p.pose == "painting" for p in scene.people) else scene.prop
        away = corner if pet is None else -corner
        low = {"book": -6, "easel": 8}.get(name, -10)
        behind.append(_cornered(thing, width, away, _NEAR_SIZE[name], HEIGHT + low))
    if pet is not None:
        size = _NEAR_HEIGHT[scene.animal] * HEIGHT / _height(pet) * (1.0 if corner else 0.7)
        if scene.animal == "horse":
            behind.append(_cornered(pet, width, corner, size, HEIGHT * (0.88 if corner else 0.72)))
        else:
            y = HEIGHT * 0.5 if scene.animal == "bird" else HEIGHT - 4 - pet.extent[3] * size
            front.append(_cornered(pet, width, corner, size, y))
    return tuple(behind), tuple(front)


def _cut(who: Person, figure: Figure, view: str) -> float:
    """How high above the ground, in figure units, the frame's edge cuts a person: waist or shoulders."""
    half, close = {"riding": (0.42, 0.2), "sleeping": (0.36, 0.2)}.get(who.pose, (0.22, 0.13))
    return -figure.head[3] - (half if view == "half" else close) * (82 if who.kind in CHILDREN else 100)


def _breadth(figure: Figure, view: str, count: int, width: float) -> float:
    """The largest scale at which head and shoulders leave room for the place and for a neighbour."""
    part = (0.72 if view == "half" else 0.82) if count == 1 else 0.46
    return part * width / max(figure.head[2] - figure.head[0], min(_share(figure), 58))


def _cornered(figure: Figure, width: float, corner: int, scale: float, y: float) -> Placed:
    """A figure against the left (-1) or right (1) edge, or in the middle (0)."""
    x0, _, x1, _ = figure.extent
    scale = min(scale, 0.86 * width / (x1 - x0))
    if corner == 0:
        return Placed(figure, width / 2 - (x0 + x1) / 2 * scale, y, scale)
    x = width * 0.985 - x1 * scale if corner > 0 else width * 0.015 - x0 * scale
    return Placed(figure, x, y, scale)
