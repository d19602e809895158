"""Every rule of the contest and of this program, held against a bundle that anybody may have made.

All findings are reported at once. Needs no torch and no GPU, and nothing in the bundle is run or believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kolors_submit.bundle import (
    archive,
    layout,
    manifest,
    rules_coherence,
    rules_contents,
    rules_documents,
    rules_files,
    rules_pages,
)
from kolors_submit.bundle.finding import Finding, fail
from kolors_submit.bundle.manifest import NewerFormat
from kolors_submit.bundle.opened import Opened, open_values, without_folder
from kolors_submit.errors import InputError, RuleError
from kolors_submit.report import Reporter

Rule = Callable[[Opened], Iterator[Finding]]

RULES: tuple[tuple[str, Rule], ...] = (
    ("files", rules_files.places),
    ("manifest", rules_files.manifest_is_true),
    ("panels", rules_files.pictures),
    ("before", rules_files.before),
    ("prompts", rules_contents.prompts),
    ("lora", rules_files.lora_files),
    ("workflows", rules_files.workflow_files),
    ("introduction", rules_pages.card),
    ("score", rules_contents.scores),
    ("coherence", rules_coherence.coherence),
    ("imported", rules_contents.imported),
    ("base", rules_contents.base),
    ("names", rules_contents.names),
    ("training", rules_contents.training),
    ("data", rules_contents.data),
    ("history", rules_contents.past),
    ("configuration", rules_contents.configuration),
    ("environment", rules_contents.environment),
    ("post", rules_pages.post),
    ("page", rules_pages.page),
    ("sheet", rules_documents.sheet),
    ("documents", rules_documents.documents),
    ("secrets", rules_files.secrets),
)
"""Each with the name that its own failure, or its having nothing to say, is reported under."""


MAX_FINDINGS = 100
"""Of one rule; a stranger's file could break it a million times."""


class CheckError(RuleError):
    """A bundle that breaks rules; `problems` holds every failure and warning."""

    def __init__(self, path: Path, problems: Sequence[Finding]):
        self.problems = tuple(problems)
        failures = [finding for finding in problems if finding.level == "fail"]
        lines = "\n".join(f"  {finding.rule}: {finding.message}" for finding in failures)
        super().__init__(f"{path} has {len(failures)} {'failure' if len(failures) == 1 else 'failures'}:\n{lines}")


def check(path: Path) -> list[Finding]:
    """Every finding about a bundle, a folder or a zip file; rules that hold are `ok` findings.

    Raises InputError where there is nothing at `path`, and NewerFormat (an InputError) for a file that a newer program
    wrote.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; name a bundle's folder or its zip file")
    try:
        with archive.open_bundle(path) as folder:
            return _check_folder(folder, zipped=folder != path)
    except NewerFormat:
        raise
    except InputError as error:
        return [fail("archive", line) for line in str(error).splitlines()]


def check_bundle(path: Path, report: Reporter) -> list[Finding]:
    """Check a bundle and say what a person should look at; raises CheckError where it fails."""
    findings = check(path)
    for finding in findings:
        if finding.level == "warn":
            report.note(f"{finding}")
    failures = [finding for finding in findings if finding.level == "fail"]
    held = sum(finding.level == "ok" for finding in findings)
    said = f"{held} of {len(RULES)} rules passed without warnings"
    if not held:
        said = f"stopped before any of {len(RULES)} rules"
    report.stage("check", said, done=not failures)
    if failures:
        raise CheckError(path, [finding for finding in findings if finding.level != "ok"])
    return findings


def _check_folder(folder: Path, *, zipped: bool) -> list[Finding]:
    names = manifest.files_below(folder)
    shape = list(rules_files.shape(folder, names))
    if any(finding.level == "fail" for finding in shape):
        return shape
    if not set(names) & set(layout.FILES):
        advice = _advice_for_zip(names) if zipped else "name the folder that holds manifest.json"
        return [fail("files", f"none of a bundle's files is here; {advice}")]
    bundle, unreadable = open_values(folder, names)
    # A rule that says nothing about a bundle with unreadable or missing files may just have had nothing to look at.
    complete = not unreadable and set(layout.required(names)) <= set(names)
    findings = shape + unreadable
    for name, rule in RULES:
        found = _apply(name, rule, bundle)
        if not found and complete:
            found = [Finding("ok", name, _first_line(rule))]
        findings += found
    return list(dict.fromkeys(findings))


def _advice_for_zip(names: Sequence[str]) -> str:
    """What to do about a zip file without a bundle at its top, as one of a folder with its name."""
    advice = "the files belong at the zip's top, as `kolors-submit bundle --zip` writes them"
    tops = {name.partition("/")[0] for name in names}
    inside = len(tops) == 1 and {name.partition("/")[2] for name in names} & set(layout.FILES)
    return f"zip what is in {tops.pop()[:80]!r}, not that folder: {advice}" if inside else advice


def _apply(name: str, rule: Rule, bundle: Opened) -> list[Finding]:
    """A rule's findings; a file that it cannot read is one more, after those found before."""
    found: list[Finding] = []
    try:
        for finding in rule(bundle):
            if len(found) == MAX_FINDINGS:
                return [*found, fail(name, f"there is more than these {MAX_FINDINGS}")]
            found.append(finding)
    except NewerFormat:
        raise
    except InputError as error:
        found.append(fail(name, without_folder(error, bundle.folder)))
    return found


def _first_line(rule: Rule) -> str:
    return (rule.__doc__ or "").splitlines()[0].rstrip(".")
