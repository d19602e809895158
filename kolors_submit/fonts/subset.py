"""Makes `story-kai.woff` from LXGW WenKai: run once by a developer, never by the package.

    apt download fonts-lxgw-wenkai && dpkg -x fonts-lxgw-wenkai_*.deb wenkai
    python kolors_submit/fonts/subset.py wenkai/usr/share/fonts/truetype/lxgw-wenkai/LXGWWenKai-Regular.ttf

The licence (OFL.txt) allows it under another name, because "LXGW" and its Chinese form are reserved.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

NAME = "Story Kai"
RANGES = ((0x20, 0x7E), (0xA0, 0x17F), (0x2010, 0x2040), (0x3000, 0x30FF), (0xFF01, 0xFF65))
"""ASCII, Latin-1 and Latin Extended-A, punctuation, CJK punctuation and kana, full-width forms."""


def characters() -> set[int]:
    """Code points kept: RANGES, all of GB2312 (6,763 simplified hanzi) and Big5's 5,401 common traditional ones."""
    codes = {code for first, last in RANGES for code in range(first, last + 1)}
    pairs = [("gb2312", range(0xA1, 0xF8)), ("big5", range(0xA4, 0xC7))]
    for encoding, leads in pairs:
        for lead in leads:
            for trail in range(0x40, 0xFF):
                text = bytes((lead, trail)).decode(encoding, "ignore")
                codes.update(ord(char) for char in text if len(text) == 1 and ord(char) > 0xFF)
    return codes


def make(source: Path, target: Path) -> None:
    """Write the subset of the font `source` to `target` (WOFF, deflated)."""
    options = subset.Options(flavor="woff", hinting=False, layout_features=[], notdef_outline=True)
    options.drop_tables += ["BASE", "GDEF", "GSUB", "vhea", "vmtx"]
    font = TTFont(source, recalcTimestamp=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters())
    subsetter.subset(font)
    licence = [record for record in font["name"].names if record.nameID in (0, 13, 14)]
    font["name"].names = licence
    for name_id, text in {1: NAME, 2: "Regular", 3: f"{NAME} subset", 4: NAME, 6: NAME.replace(" ", "")}.items():
        font["name"].setName(text, name_id, 3, 1, 0x409)
    font.flavor = "woff"
    font.save(target)


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(__file__).with_name("story-kai.woff"))
