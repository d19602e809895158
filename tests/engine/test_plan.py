"""Plans: what fits is taken, the story's word is kept, and what a card lacks is not asked of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolors_submit import device
from kolors_submit.device import Cuda, Gpu, Machine, read_machine
from kolors_submit.engine.memory import WORKSPACE, compute_for
from kolors_submit.engine.plan import Sizes, beginning_with, fitting
from kolors_submit.engine.planning import render_plans, train_plans
from kolors_submit.errors import InputError
from kolors_submit.metrics.spread import devices_of
from kolors_submit.story import Render, Train

KOLORS = Sizes(unet=2_579_000_000, text_encoder=6_240_000_000, latent_area=128 * 128)
PICTUREBOOK = Sizes(unet=11_000_000, text_encoder=4_000_000, latent_area=32 * 32)
H200 = Machine("cuda", (9, 0), 140_000_000_000, compiler=True)
CARD_8GB = replace(H200, capability=(8, 9), device_memory=7_500_000_000)


def best_render(machine: Machine, sizes: Sizes = KOLORS, panels: int = 8, **settings):
    return fitting(render_plans(machine, Render(**settings), panels, sizes), machine)[0]


def best_train(machine: Machine, sizes: Sizes = KOLORS, **settings):
    return fitting(train_plans(machine, Train(**settings), sizes), machine)[0]


def test_a_cpu_computes_as_it_always_did():
    plan = best_render(Machine())
    assert plan.compute == compute_for("cpu")
    assert plan.compute.record().keys() == {"device_kind", "dtype", "batch", "threads", "attention", "compile"}
    training = best_train(Machine())
    assert (training.dtype, training.checkpointing, training.cuda_graph) == ("float32", "none", False)


def test_a_large_card_takes_all_panels_at_once():
    plan = best_render(H200)
    assert (plan.compute.batch, plan.compute.compile, plan.cuda_graph) == (16, True, True)
    assert not plan.offload and not plan.stream_text_encoder and plan.compute.eight_bit is None
    assert plan.compute.record()["decoder"] == "float16"
    training = best_train(H200, batch_size=4)
    assert (training.dtype, training.checkpointing, training.cuda_graph) == ("bfloat16", "none", True)


def test_an_8_gb_card_gets_a_plan_that_fits_in_it():
    plan, training = best_render(CARD_8GB), best_train(CARD_8GB)
    assert plan.memory + WORKSPACE <= 7_500_000_000
    assert training.memory + WORKSPACE <= 7_500_000_000
    assert plan.stream_text_encoder and training.stream_text_encoder
    assert plan.compute.eight_bit == "int8" and not plan.offload, "moving the UNet out and in takes seconds a panel"


@pytest.mark.parametrize("gigabytes", [6, 8, 12, 16, 24, 48, 80])
def test_more_memory_never_gives_a_leaner_plan(gigabytes):
    lean, rich = (replace(H200, device_memory=int(size * 1e9)) for size in (gigabytes, gigabytes + 8))
    assert best_render(lean).compute.batch <= best_render(rich).compute.batch
    order = ("selective", "none")
    assert order.index(best_train(lean).checkpointing) <= order.index(best_train(rich).checkpointing)


def test_the_last_plan_is_tried_where_none_fits():
    tiny = replace(H200, device_memory=1_000_000_000)
    plans = render_plans(tiny, Render(), 8, KOLORS)
    assert fitting(plans, tiny) == plans[-1:]
    assert plans[-1].compute.eight_bit == "int8"


def test_panels_keep_the_arithmetic_they_began_with():
    plans = render_plans(H200, Render(), 8, KOLORS)
    carried = fitting(plans, H200)
    assert beginning_with(None, plans, carried) == carried
    third = plans[2].compute.record()
    assert beginning_with(third, plans, carried) == carried[2:]
    assert beginning_with({"dtype": "another program's"}, plans, carried) == carried
    lean = fitting(plans, CARD_8GB)
    assert beginning_with(plans[0].compute.record(), plans, lean) == (plans[0], *lean)


@pytest.mark.parametrize("gigabytes", [9, 9.5, 10, 10.5, 11])
def test_a_second_call_begins_with_a_plan_that_fits(gigabytes):
    """A plan with the UNet moved out has the arithmetic of one that needs more memory."""
    machine = replace(H200, device_memory=int(gigabytes * device.SOLD_AS * 1e9))
    plans = render_plans(machine, Render(), 8, KOLORS)
    carried = fitting(plans, machine)
    assert beginning_with(carried[0].compute.record(), plans, carried) == carried


def test_old_cards_get_no_bfloat16():
    old = replace(H200, capability=(7, 5))
    assert best_train(old).dtype == "float16"


def test_nothing_is_compiled_without_a_compiler_or_for_little_work():
    assert not best_render(replace(H200, compiler=False)).compute.compile
    assert not best_train(replace(H200, compiler=False)).compile_blocks
    assert not best_render(H200, PICTUREBOOK).compute.compile
    assert not best_train(H200, PICTUREBOOK).compile_blocks
    assert best_train(H200).compile_blocks


@pytest.mark.parametrize(("devices", "batch"), [(1, 16), (2, 8), (4, 4), (8, 2), (16, 2)])
def test_several_cards_share_the_panels(devices, batch):
    assert best_render(replace(H200, devices=devices)).compute.batch == batch


@pytest.mark.parametrize("other", [{"targets": ("to_q", "conv1")}, {"optimizer": "adafactor"}])
def test_a_plan_promises_nothing_that_peft_does_not_do(other):
    plans = train_plans(H200, Train(**other), KOLORS)
    assert {plan.checkpointing for plan in plans} == {"none", "selective"}
    assert not any(plan.compile_blocks or plan.cuda_graph or plan.eight_bit for plan in plans)


def test_the_storys_word_is_kept():
    assert best_train(H200, gradient_checkpointing=True).checkpointing == "selective"
    assert {plan.checkpointing for plan in train_plans(H200, Train(gradient_checkpointing=False), KOLORS)} == {"none"}
    assert best_train(H200, precision="float32").dtype == "float32"
    with pytest.raises(InputError, match="needs a GPU"):
        train_plans(Machine(), Train(precision="float16"), KOLORS)


def test_a_plan_says_itself_in_a_line():
    assert str(best_render(H200)).startswith("float16, 16 images a forward, compiled blocks, CUDA graph, about ")
    assert "selective checkpointing" in str(best_train(CARD_8GB))
    assert str(best_train(Machine())) == "float32"


def test_what_waits_in_main_memory_has_to_fit_there():
    """Under 8 GB the base comes to training in half precision, 5 GB of it, and to rendering too."""
    short = replace(CARD_8GB, main_memory=5_000_000_000)
    assert best_train(CARD_8GB).eight_bit == "int8" and best_train(CARD_8GB).main_memory == 2 * KOLORS.unet
    plans = train_plans(short, Train(), KOLORS)
    assert fitting(plans, short) == fitting(plans, CARD_8GB), "where none fits in both, those that the device carries"
    roomy = replace(short, device_memory=16_000_000_000)
    carried = fitting(render_plans(roomy, Render(), 8, KOLORS), roomy)
    assert carried and all(plan.main_memory == 0 and not plan.offload for plan in carried)


def test_every_device_and_every_rank_has_its_copy_in_main_memory():
    four = replace(CARD_8GB, devices=4)
    waiting = 2 * KOLORS.unet
    for batch, ranks in ((4, 4), (2, 2), (1, 1)):
        assert best_train(four, batch_size=batch).main_memory == ranks * waiting
    for panels, used in ((8, 4), (3, 3), (1, 1)):
        plans = render_plans(four, Render(), panels, KOLORS)
        assert {plan.main_memory for plan in plans} == {0, used * waiting}


def test_larger_batches_than_the_devices_share_are_there_for_pictures_made_in_them():
    four = replace(CARD_8GB, devices=4)
    batches = [plan.compute.batch for plan in render_plans(four, Render(), 8, KOLORS, True)]
    assert batches == [16, 8, 4, 2, 2, 2, 2]
    assert render_plans(four, Render(), 8, KOLORS, True)[-1].main_memory == 4 * 2 * KOLORS.unet


def cards(monkeypatch, *given):
    """Put cards into the machine: how many gigabytes of each are free, and its capability."""
    gpus = tuple(Gpu("card", 80 * 10**9, free * 10**9, capability) for free, capability in given)
    monkeypatch.setattr(device, "read_cuda", lambda: Cuda("570", 12080, gpus))
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: False)


@pytest.mark.parametrize(
    ("others", "devices", "least"),
    [
        ([], 1, 70),
        ([(70, (9, 0)), (60, (9, 0))], 3, 60),
        ([(50, (9, 0))], 1, 70),
        ([(70, (8, 6))], 1, 70),
        ([(75, (9, 0)), (2, (9, 0)), (70, (9, 0))], 2, 70),
    ],
)
def test_cards_that_are_like_the_first_work_with_it(monkeypatch, others, devices, least):
    cards(monkeypatch, (70, (9, 0)), *others)
    machine = read_machine("cuda")
    assert (machine.devices, machine.device_memory, machine.capability) == (devices, least * 10**9, (9, 0))
    assert machine.left_alone == 1 + len(others) - devices and not machine.capped
    assert devices_of("cuda", 8) == [f"cuda:{index}" for index in range(devices)]
    alone = read_machine("cuda", most=1)
    assert (alone.devices, alone.device_memory, alone.left_alone) == (1, 70 * 10**9, machine.left_alone)


def test_within_vram_cards_are_alike(monkeypatch):
    cards(monkeypatch, (70, (9, 0)), (20, (9, 0)))
    small = read_machine("cuda", vram=8)
    assert (small.device_memory, small.devices, small.capped) == (7_500_000_000, 2, True)
    assert read_machine("cpu").device_memory == 0


def test_what_this_process_holds_counts_as_free(monkeypatch):
    cards(monkeypatch, (10, (9, 0)), (30, (9, 0)))
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.memory_reserved", {0: 22 * 10**9, 1: 0}.__getitem__)
    machine = read_machine("cuda")
    assert (machine.device_memory, machine.devices) == (30 * 10**9, 2)
