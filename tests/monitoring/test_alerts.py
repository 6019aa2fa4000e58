"""Prometheus's own rule tester says when each alert fires and when it does not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from hera_workflows.platform.prometheus import find_prometheus
from hera_workflows.templates.alerting import alerts, rules
from hera_workflows.templates.values import Values

VALUES = Values()
ALERTS = {alert.name: alert for alert in alerts(VALUES)}

VERSION = 'model="digits",version="3"'
SERVER = 'job="triton",environment="production",application="production-digits",pod="triton-digits-1"'
SUCCESS = f"nv_inference_request_success{{{SERVER},{VERSION}}}"
FAILURE = f'nv_inference_request_failure{{{SERVER},{VERSION},reason="BACKEND"}}'
HUNG_UP = f'nv_inference_request_failure{{{SERVER},{VERSION},reason="CANCELED"}}'
ANSWERED = f'slipway_request_error{{{SERVER},{VERSION},reason="ERROR_RESPONSE"}}'
P95 = f'nv_inference_request_summary_us{{{SERVER},{VERSION},quantile="0.95"}}'
UP = f"up{{{SERVER}}}"
SENSOR = 'namespace="slipway",sensor_name="slipway",trigger_name="push"'
SOURCE = 'namespace="slipway",eventsource_name="slipway",event_name="models"'


def app(sync: str = "Synced", health: str = "Healthy", project: str = "slipway") -> str:
    labels = f'project="{project}",name="production-digits",dest_namespace="production",namespace="argocd"'
    return f'argocd_app_info{{{labels},sync_status="{sync}",health_status="{health}"}}'


def ended(template: str, phase: str) -> str:
    labels = f'namespace="slipway",name="{template}",phase="{phase}",cluster_scope="false"'
    return f"argo_workflows_workflowtemplate_triggered_total{{{labels}}}"


def volume(free: str) -> dict[str, str]:
    labels = 'namespace="slipway",persistentvolumeclaim="slipway-store"'
    return {
        f"kubelet_volume_stats_available_bytes{{{labels}}}": free,
        f"kubelet_volume_stats_capacity_bytes{{{labels}}}": "100x60",
    }


def jobs(*names: str, up: str = "1x60") -> dict[str, str]:
    return {f'up{{job="{name}",pod="{name}-1"}}': up for name in names}


ALL = ("slipway-workflows", "slipway-events", "slipway-delivery")
# What is seen every minute, in promtool's notation: 0+5x60 begins at 0 and grows by 5 sixty times; _x15 is absent.
FIRES: dict[str, dict[str, dict[str, str]]] = {
    "SlipwayModelDown": {
        "no server has it": {app(health="Progressing"): "1x60"},
        "its pods are given up": {app(health="Degraded"): "1x60"},
        "its Deployment is refused": {app(sync="OutOfSync"): "1x60"},
        "the pods run and have not loaded it": {app(health="Progressing"): "1x60", UP: "1x60"},
        "another model is served": {app(health="Progressing"): "1x60", SUCCESS.replace("digits", "other"): "1x60"},
    },
    "SlipwayServerNotReady": {
        "it does not answer": {UP: "0x60"},
        "it answers and has loaded nothing": {UP: "1x60"},
        "another pod has loaded it": {UP: "1x60", SUCCESS.replace("digits-1", "digits-2"): "1x60"},
    },
    "SlipwayErrorRatio": {
        "Triton says so": {SUCCESS: "0+98x60", FAILURE: "0+2x60"},
        "the model answers errors, which Triton counts as successes": {
            SUCCESS: "0+100x60",
            FAILURE: "0x60",
            ANSWERED: "0+2x60",
        },
        "from the first request on": {SUCCESS: "_x52 500x8", FAILURE: "_x52 500x8"},
    },
    "SlipwaySlow": {"one replica is": {P95: "900000x60", P95.replace("digits-1", "digits-2"): "1000x60"}},
    "SlipwayEventLost": {
        "the first of all": {f"argo_events_action_retries_failed_total{{{SENSOR}}}": "0x50 1x10"},
        "the counter is new": {f"argo_events_action_retries_failed_total{{{SENSOR}}}": "_x50 1x10"},
    },
    "SlipwayEventNotAccepted": {"one": {f"argo_events_events_processing_failed_total{{{SOURCE}}}": "0x50 1x10"}},
    "SlipwayEventsStopped": {
        "none runs": {'argo_events_event_service_running_total{namespace="slipway",eventsource_name="slipway"}': "0x60"}
    },
    "SlipwayWorkflowFailed": {
        "it failed": {ended("slipway-push", "Failed"): "3x50 4x10"},
        "an error, and no series before it": {ended("slipway-gc", "Error"): "_x50 1x10"},
    },
    "SlipwayPromoterSilent": {
        "it stopped": {ended("slipway-promote", "Succeeded"): "0+1x15 15x45"},
        "it only fails": {ended("slipway-promote", "Failed"): "0+1x60"},
        "it never ran": {},
    },
    "SlipwayBlind": {
        "the program is down": {**jobs(*ALL[1:]), **jobs(ALL[0], up="0x60")},
        "nothing of it is known": jobs(*ALL[:2]),
    },
    "SlipwayOutOfSync": {
        "out of sync": {app(sync="OutOfSync"): "1x60"},
        "the repository cannot be read": {app(sync="Unknown"): "1x60"},
    },
    "SlipwayDegraded": {health: {app(health=health): "1x60"} for health in ("Degraded", "Missing", "Unknown")},
    "SlipwayReleaseStuck": {"still progressing": {app(health="Progressing"): "1x60"}},
    "SlipwayVolumeNearlyFull": {"9 of 100 left": volume("9x60")},
}
SILENT: dict[str, dict[str, dict[str, str]]] = {
    "SlipwayModelDown": {
        "served": {app(): "1x60", SUCCESS: "1x60"},
        "only its holds are left, which need no server": {app(): "1x60"},
        "the version before serves on": {app(health="Progressing"): "1x60", SUCCESS: "1x60"},
        "down for nine minutes": {app(health="Progressing"): "1x60", SUCCESS: "1x51 _x9"},
        "another project's": {app(health="Progressing", project="other"): "1x60"},
    },
    "SlipwayServerNotReady": {"ready": {UP: "1x60", SUCCESS: "1x60"}, "starting": {UP: "_x55 1x5"}},
    "SlipwayErrorRatio": {
        "few of many": {SUCCESS: "0+1000x60", FAILURE: "0+1x60"},
        "too few requests to say": {SUCCESS: "0+1x60", FAILURE: "0+1x60"},
        "clients hang up": {SUCCESS: "0+50x60", HUNG_UP: "0+50x60"},
        "long ago": {SUCCESS: "0+100x60", FAILURE: "1000x60"},
    },
    "SlipwaySlow": {"fast": {P95: "400000x60"}, "idle": {P95: " ".join(["NaN"] * 60)}},
    "SlipwayEventLost": {
        "none": {f"argo_events_action_retries_failed_total{{{SENSOR}}}": "7x60"},
        "elsewhere": {f"argo_events_action_retries_failed_total{{{SENSOR}}}".replace("slipway", "other"): "0x50 1x10"},
        "Argo CD was not asked to look": {
            f"argo_events_action_retries_failed_total{{{SENSOR}}}".replace("push", "refresh"): "0x50 1x10"
        },
    },
    "SlipwayEventNotAccepted": {"none": {f"argo_events_events_processing_failed_total{{{SOURCE}}}": "0x60"}},
    "SlipwayEventsStopped": {
        "they run": {'argo_events_event_service_running_total{namespace="slipway",eventsource_name="slipway"}': "2x60"}
    },
    "SlipwayWorkflowFailed": {
        "all succeed": {ended("slipway-push", "Succeeded"): "0+1x60"},
        "long ago": {ended("slipway-push", "Failed"): "0x10 1x50"},
        "the controller began again": {ended("slipway-push", "Failed"): "9x30 _x5 0x25"},
    },
    "SlipwayPromoterSilent": {
        "every five minutes": {
            ended("slipway-promote", "Succeeded"): "0x4 1x4 2x4 3x4 4x4 5x4 6x4 7x4 8x4 9x4 10x4 11x4"
        },
        "the controller began again": {ended("slipway-promote", "Succeeded"): "8x30 _x10 1x20"},
    },
    "SlipwayBlind": {
        "all are up": jobs(*ALL),
        "one of two is down": {**jobs(*ALL), f'up{{job="{ALL[1]}",pod="old"}}': "0x60"},
    },
    "SlipwayOutOfSync": {"synced": {app(): "1x60"}, "syncing": {app(sync="OutOfSync"): "_x50 1x10"}},
    "SlipwayDegraded": {"healthy": {app(): "1x60"}, "progressing": {app(health="Progressing"): "1x60"}},
    "SlipwayReleaseStuck": {"quick": {app(health="Progressing"): "_x40 1x20"}},
    "SlipwayVolumeNearlyFull": {"half": volume("50x60")},
}


def cases(table: dict[str, dict[str, dict[str, str]]]) -> list[object]:
    return [
        pytest.param(name, series, id=f"{name}-{what.replace(' ', '_')}")
        for name, facts in table.items()
        for what, series in facts.items()
    ]


def firing(tmp_path: Path, name: str, series: dict[str, str]) -> str:
    """What promtool complains about when it is told that the alert stays silent in that hour; empty: it does."""
    promtool = find_prometheus().with_name("promtool")
    if not promtool.is_file():
        pytest.skip(f"LEFT OUT: {promtool} is not there (apt-get install prometheus has it); no alert was tested")
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": rules(VALUES)["spec"]["groups"]}))
    test = {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "alert_rule_test": [{"eval_time": "58m", "alertname": name, "exp_alerts": []}],
    }
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(content))
    command = [str(promtool), "test", "rules", str(tmp_path / "test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ("SUCCESS" in done.stdout) == (done.returncode == 0), done.stdout + done.stderr
    assert done.returncode == 0 or f"alertname: {name}" in done.stderr, done.stderr
    return "" if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(("name", "series"), cases(FIRES))
def test_it_fires(tmp_path, name, series):
    told = firing(tmp_path, name, series)
    assert f'alertname="{name}"' in told
    # Every label that a text names has a value.
    assert "<no value>" not in told
    assert "labels." not in told


@pytest.mark.parametrize(("name", "series"), cases(SILENT))
def test_it_stays_silent(tmp_path, name, series):
    assert firing(tmp_path, name, series) == ""


def test_every_alert_is_seen_to_fire_and_to_stay_silent():
    assert set(FIRES) == set(SILENT) == set(ALERTS)


def test_promtool_accepts_the_rules(tmp_path):
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": rules(VALUES)["spec"]["groups"]}))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_bucket_has_no_volume_that_fills():
    [full] = [a for a in alerts(Values(store="s3://models")) if a.name == "SlipwayVolumeNearlyFull"]
    assert "slipway-store" not in full.expr
