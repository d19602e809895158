"""The NVIDIA cards that CUDA will show to a program, and MIG instances of cards, as NVIDIA's own library lists them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ORDER, IN_BUS_ORDER = "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
"""The library counts cards in the order of the bus; CUDA, unless it is told so, counts the fastest first."""


@dataclass(frozen=True)
class Card:
    """What CUDA takes for a device: a whole card, or a MIG instance, which is a part of one with memory of its own."""

    handle: Any
    whole: Any
    """Handle of the card itself, the same for one that is not divided."""
    name: str
    """As a value of CUDA_VISIBLE_DEVICES that shows it alone."""
    is_instance: bool = False


def shown_by_cuda() -> list[Card]:
    """The devices that a CUDA program sees: it sees one MIG instance and then no other, or whole cards.

    The library has to be initialised; raises NVMLError where it fails.
    """
    cards = visible()
    instance = next((card for card in cards if card.is_instance), None)
    return cards if instance is None else [instance]


def visible() -> list[Card]:
    """The devices that CUDA_VISIBLE_DEVICES allows, in its order; as CUDA does, up to the first entry that is unknown.

    An entry is a number, or the beginning of an identifier (`GPU-8932f937`, `MIG-4e8f…`); a card that is divided stands
    for its first instance. The library has to be initialised; raises NVMLError where it fails.
    """
    import pynvml

    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    devices = [_devices(index, handle) for index, handle in enumerate(handles)]
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return [card for one in devices for card in one]
    identifiers = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
    chosen: list[Card] = []
    for entry in wanted.split(","):
        found = _named(entry.strip(), identifiers, devices)
        if found is None:
            break
        chosen.append(found)
    return chosen


def _devices(index: int, handle: Any) -> list[Card]:
    """What a card is to CUDA: itself, or where it is divided (MIG mode) its instances, of which there may be none."""
    import pynvml

    try:
        divided = pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError:  # most cards know no such mode
        divided = False
    if not divided:
        return [Card(handle, handle, str(index))]
    found = []
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except pynvml.NVMLError:  # a place that no instance has, or one that this container may not use
            continue
        found.append(Card(instance, handle, pynvml.nvmlDeviceGetUUID(instance), is_instance=True))
    return found


def _named(name: str, identifiers: Sequence[str], devices: Sequence[Sequence[Card]]) -> Card | None:
    """The device that an entry of CUDA_VISIBLE_DEVICES names, or None where it names none or several."""
    matches = [
        one[0]
        for index, (whole, one) in enumerate(zip(identifiers, devices, strict=True))
        if one and (name == str(index) or (name and whole.startswith(name)))
    ]
    matches += [card for one in devices for card in one if card.is_instance and name and card.name.startswith(name)]
    return matches[0] if len(matches) == 1 else None
