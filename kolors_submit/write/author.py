"""Ask a model for a story, judge it, show it its problems, and ask again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kolors_submit.endpoint import Endpoint, Limits, ask
from kolors_submit.errors import OutsideError
from kolors_submit.report import Reporter
from kolors_submit.write.draft import Draft, Judgement, judge
from kolors_submit.write.instructions import first_messages, repair_messages
from kolors_submit.write.order import Order

MAX_REPAIRS = 3
MAX_ANSWER = 100_000
"""Characters of an answer that are shown to the model again; a story has a tenth of it."""


@dataclass(frozen=True)
class Written:
    """A story that passes, what is still likely to fail in it, and how often it was mended."""

    values: dict[str, Any]
    advice: tuple[str, ...]
    repairs: int


def write_story(order: Order, endpoint: Endpoint, report: Reporter, limits: Limits | None = None) -> Written:
    """The story that a model writes to an order; shown its problems and asked again up to MAX_REPAIRS times.

    A story that is valid but for advice is kept while the model tries to do better. Raises OutsideError with what is
    still wrong where no answer passes, and what `endpoint.ask` raises.
    """
    messages, schema = first_messages(order), Draft.model_json_schema()
    best: Written | None = None
    judgement = Judgement(None, ())
    for attempt in range(1 + MAX_REPAIRS):
        report.stage("write", f"asking {endpoint.name}" + (f", repair {attempt} of {MAX_REPAIRS}" if attempt else ""))
        answer = ask(endpoint, messages, schema, limits)
        judgement = judge(answer, order)
        if judgement.values is not None and (best is None or len(judgement.advice) < len(best.advice)):
            best = Written(judgement.values, judgement.advice, attempt)
        wrong = judgement.problems + judgement.advice
        if not wrong:
            break
        report.say(f"{'':<8}to be fixed: {wrong[0][:200]}" + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""))
        messages = first_messages(order) + repair_messages(answer[:MAX_ANSWER], wrong)
    if best is None:
        left = "".join(f"\n  {problem[:200]}" for problem in judgement.problems[:10])
        why = f"{endpoint.name} wrote no story that passes, {MAX_REPAIRS} repairs included"
        raise OutsideError(f"{why}; run again, or ask another model. What is wrong with the last one:{left}")
    return best
