"""Every colour that a figure is drawn in, looked up by the attribute's name.

A colour is four tones of one hue: the flat `base`, its `shade`, a `light` for the lit side and the `line` around it.
All of them are written `#rrggbb` in the markup, so a style may recolour a drawing by mapping hexadecimal colours.
"""

from __future__ import annotations

from dataclasses import dataclass

from kolors_submit.picturebook.scenes import ClothesColour, HairColour


@dataclass(frozen=True)
class Tone:
    """Four tones of one hue, each `#rrggbb`."""

    base: str
    shade: str
    light: str
    line: str


HAIR: dict[HairColour, Tone] = {
    "black": Tone("#35303f", "#231f2c", "#5f5a73", "#17141d"),
    "brown": Tone("#8a5433", "#683c24", "#b57c50", "#4d2a18"),
    "golden": Tone("#efb84c", "#d2932f", "#ffdf8c", "#9a641c"),
    "red": Tone("#cf4a28", "#a23319", "#ee7a4a", "#74230f"),
    "silver": Tone("#cbd0dc", "#a3aabd", "#eef1f7", "#747b92"),
    "blue": Tone("#3f74cc", "#2c559f", "#74a5ef", "#1d3c78"),
}
CLOTHES: dict[ClothesColour, Tone] = {
    "red": Tone("#dd3440", "#b0202f", "#f2646a", "#861424"),
    "orange": Tone("#f58a1f", "#d56d0e", "#ffad55", "#9d4d08"),
    "yellow": Tone("#ffe045", "#e8bd22", "#fff49c", "#ab8414"),
    "green": Tone("#4cae5a", "#318545", "#80d082", "#1f6034"),
    "blue": Tone("#3c82e0", "#2862b5", "#72aef5", "#1c4788"),
    "purple": Tone("#9058c8", "#6d3da2", "#b588e4", "#4c2877"),
    "pink": Tone("#f78fb6", "#dd6a97", "#ffbdd5", "#a94670"),
    "white": Tone("#fbfaf6", "#d6dce8", "#ffffff", "#8f9ab0"),
}
SKIN: tuple[Tone, ...] = (
    Tone("#ffe2cd", "#f4bd9d", "#fff2e6", "#c07f63"),
    Tone("#ffdcc2", "#efb491", "#ffeedd", "#b87657"),
    Tone("#fbd3b3", "#e5a983", "#ffe6d0", "#a96c4c"),
)
BLUSH = "#ff9e92"
LIP = "#d9606a"
MOUTH = "#a8404a"
EYE = "#3b2a30"
IRIS = "#7a5148"
WHITE = "#ffffff"
GLOW = "#ffd873"
BOTTOM = {  # skirts and trousers under a shirt, a sweater or a coat: greys and browns, which no clothes colour is
    "slate": Tone("#66708a", "#4d566e", "#8590aa", "#373e52"),
    "brown": Tone("#8b715c", "#6c5645", "#a98e78", "#4e3d30"),
}
SOCK = Tone("#fffdf8", "#d9dde6", "#ffffff", "#9aa2b2")
SHOE = Tone("#7d4a38", "#5d3427", "#a56a53", "#452519")
PAPER = Tone("#fffaf0", "#e8dcc6", "#ffffff", "#a08d70")
WOOD = Tone("#c0895a", "#98663d", "#dcae82", "#6d4627")
COVER = Tone("#3f8f92", "#2c6c70", "#6fb9ba", "#1f4d51")
METAL = Tone("#6b6675", "#4d4957", "#9893a3", "#36333e")
STRAW = Tone("#ecd08a", "#cda95c", "#faeab8", "#94713a")
RIBBON = Tone("#a5573f", "#80402d", "#c57c62", "#5a2b1d")
BERET = Tone("#8c3350", "#6b2340", "#b2587a", "#49162b")
WITCH = Tone("#54428c", "#3d2f6b", "#7967b4", "#281e4a")
BUCKLE = Tone("#f2c44d", "#cf9c2c", "#fce596", "#8f6717")
UMBRELLA = Tone("#38a3a0", "#27807f", "#7fd0c8", "#1b5a5b")
CREAM = Tone("#fff1d6", "#ead3a8", "#fffaf0", "#a88a5c")
LINEN = Tone("#efdcb8", "#dcc294", "#fdf1d8", "#a5875a")
QUILT = Tone("#9fb9d8", "#7d9bc0", "#c7d9ee", "#56718f")
SADDLE = Tone("#9c5b3c", "#78422a", "#bf7f5d", "#522b1a")
COAT = {  # animals' coats: body, with the marking's colour beside it
    "cat": (Tone("#f0a255", "#d27f35", "#ffc98d", "#96551f"), Tone("#a3a8b6", "#7f8596", "#c9cdd8", "#565b6b"),
            Tone("#fff4e4", "#e2cfb4", "#ffffff", "#a08868")),
    "dog": (Tone("#c98d55", "#a36c3a", "#e5b686", "#6e4522"), Tone("#fbf1e2", "#dcc9ae", "#ffffff", "#98816a"),
            Tone("#8f6a52", "#6f4f3b", "#b18d74", "#4a3325")),
    "horse": (Tone("#a86b42", "#83502e", "#c98f66", "#57321a"), Tone("#f6efe6", "#d8cdbf", "#ffffff", "#94866f"),
              Tone("#77665e", "#5a4c46", "#988780", "#3b302b")),
    "bird": (Tone("#4a9fe0", "#2f7cbb", "#8ecbf6", "#1f557f"), Tone("#f8cf45", "#dca92a", "#fdea9d", "#977014"),
             Tone("#e8604c", "#c04332", "#f7998a", "#832a1d")),
}
