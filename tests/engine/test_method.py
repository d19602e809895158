"""What `quality: fast` does instead, and that it is recorded."""

from __future__ import annotations

from kolors_submit.engine.method import FAST_GUIDED, FAST_STEPS, method_of
from kolors_submit.engine.schedule import solver
from kolors_submit.story import Render


def test_exact_is_what_the_story_says():
    method = method_of(Render(sampler="euler", steps=30))
    assert (method.sampler, method.steps, method.guided_steps) == ("euler", 30, 30)
    assert method_of(Render(guidance_scale=1)).guided_steps == 0


def test_fast_takes_fewer_steps_and_never_more():
    method = method_of(Render(quality="fast"))
    assert (method.steps, method.guided_steps) == (FAST_STEPS, FAST_GUIDED)
    assert method_of(Render(quality="fast", steps=3)).steps == 3
    applied = method.applied(Render(quality="fast", guidance_scale=5))
    assert (applied.sampler, applied.steps, applied.guidance_scale) == ("dpmpp_2m", FAST_STEPS, 5)
    assert method.record().keys() == {"sampler", "steps", "guided_steps", "timestep_spacing"}


def test_trailing_steps_begin_at_pure_noise():
    leading, trailing = (solver("dpmpp_2m", FAST_STEPS, spacing).timesteps for spacing in ("leading", "trailing"))
    assert int(trailing[0]) == 1099 > int(leading[0])
    assert len(trailing) == FAST_STEPS
