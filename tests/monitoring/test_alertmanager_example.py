"""Alertmanager's own tool reads the example of docs/monitoring, and says who is told what."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hera_workflows.templates.alerting import alerts
from hera_workflows.templates.values import Values

EXAMPLE = Path(__file__).parents[2] / "docs/monitoring/alertmanager.yml"


@pytest.fixture(scope="session")
def amtool() -> str:
    if (found := shutil.which("amtool")) is None:
        pytest.skip("LEFT OUT: amtool is not on PATH (apt-get install prometheus-alertmanager); no route was tested")
    return found


def receivers(amtool: str, **labels: str) -> set[str]:
    given = [f"{key}={value}" for key, value in labels.items()]
    command = [amtool, "config", "routes", "test", f"--config.file={EXAMPLE}", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return set(done.stdout.strip().split(","))


def test_the_example_is_a_valid_configuration(amtool):
    done = subprocess.run([amtool, "check-config", EXAMPLE], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("severity", "told"), [("critical", {"pagerduty", "slack"}), ("warning", {"slack"})])
def test_what_is_critical_wakes_somebody(amtool, severity, told):
    assert receivers(amtool, service="slipway", severity=severity) == told


def test_somebody_elses_alert_wakes_nobody_of_ours(amtool):
    assert receivers(amtool, service="other", severity="critical") == {"slack"}


def test_credentials_are_named_by_their_files_alone():
    content = EXAMPLE.read_text()
    assert re.findall(r"^\s*-? ?(api_url|routing_key|service_key|password|token)\b", content, re.MULTILINE) == []
    assert len(re.findall(r"(api_url_file|routing_key_file): /etc/alertmanager/secrets/", content)) == 2


def test_every_alert_that_the_example_names_exists():
    named = set(re.findall(r'alertname="(\w+)"', EXAMPLE.read_text()))
    assert named
    assert named <= {alert.name for alert in alerts(Values())}
