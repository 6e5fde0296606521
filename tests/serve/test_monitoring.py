"""The example alerts and the dashboard: all that they name is there in a service."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from servers import PHOTOS, post

from endoexit.serve.metrics import Metrics

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus-rules.yaml"
BOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
ALERTS = [
    rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
TARGETS = [target for panel in BOARD["panels"] for target in panel["targets"]]
# Of Prometheus itself: whether it reached the service, and the labels of what it reached.
SCRAPE: dict[str, set[str]] = {"up": set()}
OF_THE_SCRAPE = {"job", "instance"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",),
            "info": ("_info",), "unknown": ("",)}  # fmt: skip


@pytest.fixture(scope="module")
def exported(server):
    """The names of all series of a running service, each with the names of its labels."""
    with server.client() as client:
        post(client, PHOTOS[0])
        text = client.get("/metrics").text
    labels = {
        metric._name: set(metric._labelnames)
        for metric in vars(Metrics()).values()
        if hasattr(metric, "_labelnames")
    }
    series: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        suffixes = SUFFIXES[family.type]
        series |= {family.name + suffix: set(labels.get(family.name, ())) for suffix in suffixes}
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    assert {
        name
        for name in labels
        if not any(name_of_series.startswith(name) for name_of_series in series)
    } == set()
    return series


def selectors(expression: str) -> list[promql.VectorSelector]:
    """Return all selectors of an expression of PromQL."""
    nodes = []

    def visit(node: promql.Expr) -> bool:
        if isinstance(node, promql.VectorSelector):
            nodes.append(node)
        return True

    promql.walk(promql.parse(expression), visit)
    return nodes


def faults(expression: str, exported: dict[str, set[str]]) -> list[str]:
    """Return what an expression names that no service exports, in words."""
    said = []
    grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression)
               for label in labels.split(",")}  # fmt: skip
    allowed = set(OF_THE_SCRAPE)
    for selector in selectors(expression):
        known = (exported | SCRAPE).get(selector.name)
        if known is None:
            said.append(f"no metric {selector.name}")
            continue
        allowed |= known
        for matcher in selector.matchers.matchers:
            if matcher.name not in known | OF_THE_SCRAPE:
                said.append(f"{selector.name} has no label {matcher.name}")
    return said + [f"no label {label}" for label in grouped - allowed]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_on_what_the_service_exports(rule, exported):
    assert selectors(rule["expr"])
    assert faults(rule["expr"], exported) == []
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["annotations"].keys() == {"summary", "remedy"}
    assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["legendFormat"])
def test_a_line_of_the_dashboard_is_of_what_the_service_exports(target, exported):
    expression = target["expr"].replace("$__rate_interval", "5m")
    assert selectors(expression)
    assert faults(expression, exported) == []
    labels = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    known = set().union(*(exported[selector.name] for selector in selectors(expression)))
    assert set(labels) <= known


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(endoexit_imagse_total[5m])", "no metric endoexit_imagse_total"),
        ('endoexit_images_total{outcom="cut"}', "endoexit_images_total has no label outcom"),
        ("sum by (stages) (endoexit_pool_images)", "no label stages"),
    ],
)
def test_a_name_that_is_misspelt_would_be_found(expression, fault, exported):
    assert faults(expression, exported) == [fault]


def test_values_of_labels_are_those_of_the_service(client):
    """Values in alerts: outcomes, results and reasons that the code has."""
    source = Path(__file__).resolve().parents[2] / "src" / "endoexit" / "serve"
    code = "\n".join(path.read_text(encoding="utf-8") for path in source.glob("*.py"))
    for rule in ALERTS:
        for selector in selectors(rule["expr"]):
            for matcher in selector.matchers.matchers:
                if matcher.name in {"outcome", "result"}:
                    for value in matcher.value.split("|"):
                        assert f'"{value}"' in code


def test_the_promise_has_an_alert():
    (alert,) = [rule for rule in ALERTS if rule["alert"] == "EndoexitPromiseMayNotHold"]
    assert "the promise may not hold" in alert["annotations"]["summary"]


def test_the_panels_are_whole_and_do_not_cover_each_other():
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = panel["gridPos"]
        assert 0 <= place["x"] <= 24 - place["w"]
    for first, second in combinations((panel["gridPos"] for panel in panels), 2):
        beside = first["x"] + first["w"] <= second["x"] or second["x"] + second["w"] <= first["x"]
        above = first["y"] + first["h"] <= second["y"] or second["y"] + second["h"] <= first["y"]
        assert beside or above
    names = {variable["name"] for variable in BOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels)))
    assert used - {"__rate_interval"} == names


def test_prometheus_takes_the_rules():
    if shutil.which("promtool") is None:
        pytest.skip("no promtool; on Debian: apt-get install prometheus")
    done = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
