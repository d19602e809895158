"""The words that entries put before a prompt, a seed or a setting, and how the values after them are read."""

from __future__ import annotations

import math
import re
from typing import Any

from kolors_submit.export.comfyui import SAMPLERS, SCHEDULERS

_FIELDS = {
    "negative": r"(反向|负向|负面|反面)(提示词?|描述词?|词)?|negative([ _-]?prom\w*)?",
    "prompt": r"(正向|正面)?(提示词?|描述词)|正向|正面|(positive[ _-]?)?(prom\w*)|positive",
    "seed": r"(随机)?(数)?种子(数)?|(noise[ _]?)?seed",
    "steps": r"(采样|推理|迭代|生成)?步数|((num|sampling|inference)[ _])*steps",
    "guidance": r"cfg([ _]?scale)?|guidance([ _]?scale)?|引导(系数|强度)|提示词(相关性|引导系数)",
    "sampler": r"采样(器|方法)|调度器|sampler([ _]name)?|scheduler",
    "strength": r"lora[ _]?(强度|权重|strength|weight|scale)|strength([ _]model)?",
    "node_alpha": r"lora[ _]?alpha",
    "size": r"(图片|图像)?(尺寸|分辨率|大小)|size|resolution",
    "width": r"宽度?|width",
    "height": r"高度?|height",
    "number": r"(图片|图像|画面|镜头|场景|分镜)?(编号|序号)|#|no\.?|id|index|number|panel|幕|格",
    "picture": r"图片?(名称?|文件)?|图像|文件名?|作品图?|画面|(file|image|picture)([ _]?name)?",
    "scene": r"(场景|画面)?(描述|名称|内容)|场景|标题|(故事)?(情节|剧情)|scene|title|caption|story",
}
_PATTERNS = {field: re.compile(pattern, re.IGNORECASE) for field, pattern in _FIELDS.items()}

_NUMERALS = {character: value for value, character in enumerate("零一二三四五六七八九")}
_TEN = "十"

_SAMPLERS = {
    **{name.lower(): name for name in SAMPLERS},
    **{theirs.lower(): ours for ours, theirs in SCHEDULERS.items() if ours != "ddim"},
    "euler a": "euler_ancestral",
    "dpm++ 2m": "dpmpp_2m",
    "dpm++ 2m sde karras": "dpmpp_2m_sde_karras",
}


def field_of(label: str) -> str | None:
    """The field that a heading or a label names, as in `反向提示词`; None for any other words."""
    text = re.sub(r"[*`【】\[\]:：]", "", label).strip()
    return next((field for field, pattern in _PATTERNS.items() if pattern.fullmatch(text)), None)


def value_of(field: str, text: str) -> dict[str, Any]:
    """What a cell or a line says for a field, as fields of `Told`; nothing where the text is no such value."""
    text = text.strip().strip("`*").strip()
    if field in ("seed", "steps", "width", "height"):
        return {field: int(text)} if re.fullmatch(r"[0-9]{1,20}", text) else {}
    if field in ("guidance", "strength", "node_alpha"):
        value = number(text)
        return {} if value is None else {field: value}
    if field == "size":
        match = re.fullmatch(r"([0-9]{2,5})\s*[x×*X]\s*([0-9]{2,5})", text)
        return {"width": int(match[1]), "height": int(match[2])} if match else {}
    if field == "sampler":
        return sampler_of(text)
    if field == "number":
        value = ordinal(text)
        return {} if value is None else {"number": value}
    return {field: text} if text else {}


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def sampler_of(name: str) -> dict[str, Any]:
    """Our name of a sampler that another program names, or a remark."""
    known = _SAMPLERS.get(name.strip().lower())
    return {"sampler": known} if known else {"remarks": (f"the sampler {name[:60]!r} is not known here",)}


def ordinal(text: str) -> int | None:
    """The only number in words like `图片3`, `第三幕`, `03.png` or `Panel 3`; None where there is none or several."""
    digits = re.findall(r"[0-9]{1,9}", text)
    if digits:
        return int(digits[0]) if len(digits) == 1 else None
    hanzi = re.findall(f"[{''.join(_NUMERALS)}{_TEN}]+", text)
    return _from_hanzi(hanzi[0]) if len(hanzi) == 1 else None


def _from_hanzi(text: str) -> int | None:
    """十二 as 12; up to ninety-nine."""
    tens, ten, ones = text.rpartition(_TEN)
    if len(tens) > 1 or len(ones) > 1 or _TEN in tens:
        return None
    return (_NUMERALS.get(tens, 1) * 10 if ten else 0) + _NUMERALS.get(ones, 0)
