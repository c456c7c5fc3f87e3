"""Holds the files of this folder against promtool, the flags, and what a gateway really says at /metrics.

    python3 deploy/check.py http://127.0.0.1:8081/metrics
    python3 deploy/check.py FILE-WITH-THE-TEXT-OF-METRICS

It needs promtool (Debian: prometheus) and PyYAML, prints a line for all that is in order, and ends at the first thing that is not.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ALERTS = HERE / "prometheus" / "alerts.yml"
ALERTS_TEST = HERE / "prometheus" / "alerts_test.yml"
SETTINGS = HERE / "voicegain-gateway.toml"
COMMAND_LINE = HERE.parent / "examples" / "gateway-core" / "src" / "cli" / "args.rs"
DASHBOARD = HERE / "grafana" / "dashboard.json"
GUIDE = "https://github.com/voicegain/voicegain-auth/blob/main/"

# Prometheus makes this one itself, and adds these labels to what it scrapes.
OF_PROMETHEUS = {"up"}
LABELS_OF_PROMETHEUS = {"job", "instance"}
# A gateway without TLS does not have these, which is no fault.
ONLY_WITH_TLS = {"voicegain_gateway_tls_certificate_not_after_timestamp_seconds"}
# What Grafana puts in the place of its variables, as promtool cannot read those.
VARIABLES = [("$__rate_interval", "5m"), ("$__interval", "1m"), ("$job", ".*"), ("$instance", ".*")]
KEYWORDS = {
    *("by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "and", "or", "unless", "atan2"),
    *("inf", "nan"),
}

STRING = r'"(?:[^"\\]|\\.)*"'
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
MATCHER = re.compile(rf"({NAME})\s*(=~|!~|!=|=)\s*({STRING})")
SELECTOR = re.compile(rf"({NAME})\s*\{{((?:[^{{}}\"]|{STRING})*)\}}")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")


def fail(what):
    sys.exit(f"not ok: {what}")


def ok(what):
    print(f"ok: {what}")


def promtool(*arguments, directory=None):
    try:
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=directory)
    except FileNotFoundError:
        fail("there is no promtool: install Prometheus (Debian's package is called prometheus)")
    if done.returncode != 0:
        fail(f"promtool {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}")


def parse_all():
    """Every YAML and JSON file of the folder."""
    names = []
    for path in sorted(HERE.rglob("*")):
        try:
            if path.suffix in (".yml", ".yaml"):
                list(yaml.safe_load_all(path.read_text()))
            elif path.suffix == ".json":
                json.loads(path.read_text())
            else:
                continue
        except (ValueError, yaml.YAMLError) as problem:
            fail(f"{path.relative_to(HERE)} cannot be read: {problem}")
        names.append(str(path.relative_to(HERE)))
    ok(f"{len(names)} files parse: {', '.join(names)}")


def check_settings():
    """Whether the sample has every flag, and nothing else, with the defaults that the flags have."""
    text = SETTINGS.read_text()
    if tomllib.loads(text):
        fail(f"{SETTINGS.name} sets something: it is a sample, and all is commented out")
    try:
        # A setting has its # at once, a sentence a space behind it.
        settings = tomllib.loads(re.sub(r"^#(?=[a-z])", "", text, flags=re.MULTILINE))
    except tomllib.TOMLDecodeError as problem:
        fail(f"{SETTINGS.name}, without the # before its settings: {problem}")
    flags = {}
    for attributes, field in re.findall(r"#\[arg\(((?:[^()]|\([^()]*\))*)\)\]\s*pub (\w+):", COMMAND_LINE.read_text()):
        if re.search(r"\blong\b", attributes):
            flags[field.replace("_", "-")] = re.search(r'default_value = "([^"]*)"', attributes)
    # What names this file cannot stand in it.
    flags.pop("config", None)
    if flags.keys() != settings.keys():
        fail(f"{SETTINGS.name} and the flags differ in: {', '.join(sorted(flags.keys() ^ settings.keys()))}")
    for name, default in flags.items():
        if default and settings[name] != default[1]:
            fail(f"{SETTINGS.name}: {name} is {settings[name]!r}, and the flag's default is {default[1]!r}")
    ok(f"the {len(settings)} settings of {SETTINGS.name} are the flags, with their defaults")


def series_of(text):
    """What /metrics says: each name with the label sets it comes with."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        whole = re.fullmatch(rf"({NAME})(?:\{{(.*)\}})?\s+\S+(?:\s+\d+)?", line)
        if not whole:
            fail(f"this is no line of /metrics: {line}")
        labels = {name: json.loads(value) for name, _, value in MATCHER.findall(whole[2] or "")}
        found.setdefault(whole[1], []).append(labels)
    if not found:
        fail("/metrics names no metric at all")
    return found


def read_metrics(source):
    if not re.match("https?://", source):
        return series_of(Path(source).read_text())
    # What this asks is on this machine: no proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(source, timeout=10) as answer:
        return series_of(answer.read().decode())


def selectors(expression):
    """The metrics that an expression names, each with its matchers."""
    found = []
    for name, matchers in SELECTOR.findall(expression):
        found.append((name, [(label, how, json.loads(value)) for label, how, value in MATCHER.findall(matchers)]))
    rest = SELECTOR.sub(" ", expression)
    rest = re.sub(STRING, " ", rest)
    rest = GROUPING.sub(" ", rest)
    rest = re.sub(r"\[[^\]]*\]", " ", rest)
    # Numbers and durations.
    rest = re.sub(r"\b\d[\w.]*", " ", rest)
    for word in re.finditer(NAME, rest):
        is_call = rest[word.end() :].lstrip().startswith("(")
        if not is_call and word[0].lower() not in KEYWORDS:
            found.append((word[0], []))
    return found


def matches(labels, matcher):
    label, how, value = matcher
    if label in LABELS_OF_PROMETHEUS:
        return True
    has = labels.get(label, "")
    same = has == value if how in ("=", "!=") else re.fullmatch(value, has) is not None
    return same == how.startswith("=")


def check_selectors(where, expression, metrics):
    """Whether a gateway has what each selector asks for. One that asks for nothing would never say anything."""
    used = set()
    for name, matchers in selectors(expression):
        if name in OF_PROMETHEUS or (name in ONLY_WITH_TLS and name not in metrics):
            continue
        if name not in metrics:
            fail(f"{where}: no gateway has a metric {name}, which is in: {expression}")
        if not any(all(matches(labels, matcher) for matcher in matchers) for labels in metrics[name]):
            fail(f"{where}: no series of {name} has {matchers}, which is in: {expression}")
        # Each value of an alternative, so that none of them is misspelt.
        for label, how, value in matchers:
            if how == "=~" and label not in LABELS_OF_PROMETHEUS and re.fullmatch(r"\w+(\|\w+)+", value):
                for one in value.split("|"):
                    if not any(labels.get(label) == one for labels in metrics[name]):
                        fail(f"{where}: no series of {name} has {label}={one!r}, which is in: {expression}")
        used.add(name)
    return used


def rules():
    found = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    tested = yaml.safe_load(ALERTS_TEST.read_text())["tests"]
    cases = [case for test in tested for case in test["alert_rule_test"]]
    for rule in found:
        name = rule["alert"]
        said = rule["annotations"]
        if missing := {"summary", "description", "runbook_url"} - said.keys():
            fail(f"{name} has no {', '.join(sorted(missing))}")
        page = said["runbook_url"].removeprefix(GUIDE).split("#")[0]
        if not (HERE.parent / page).is_file():
            fail(f"{name}: its runbook {page} is not there")
        outcomes = {bool(case.get("exp_alerts")) for case in cases if case["alertname"] == name}
        if outcomes != {True, False}:
            fail(f"{name} needs a test in which it goes off and one in which it does not")
    return [(rule["alert"], rule["expr"]) for rule in found]


def dashboard():
    model = json.loads(DASHBOARD.read_text())
    variables = {variable["name"] for variable in model["templating"]["list"]}
    found, ids = [], set()
    for panel in model["panels"]:
        if panel["id"] in ids:
            fail(f"two panels have the id {panel['id']}")
        ids.add(panel["id"])
        for target in panel.get("targets", []):
            title, expression = panel["title"], target["expr"]
            if target["datasource"]["uid"] != "${datasource}":
                fail(f"the panel {title} has a data source of its own")
            for name in re.findall(r"\$\{?(\w+)", expression):
                if name not in variables and not name.startswith("__"):
                    fail(f"the panel {title} names ${name}, which is no variable")
            found.append((title, expression))
    for variable in model["templating"]["list"]:
        asked = re.fullmatch(r"label_values\((.*), \w+\)", variable.get("definition", ""))
        if variable["type"] == "query" and not asked:
            fail(f"the variable {variable['name']} asks for no label's values")
        if asked:
            found.append((f"variable {variable['name']}", asked[1]))
    return found


def plain(expression):
    for name, value in VARIABLES:
        expression = expression.replace(name, value)
    if "$" in expression:
        fail(f"a variable that is not known here is in: {expression}")
    return expression


def check_syntax(expressions):
    """As recording rules, which every version of promtool knows."""
    every = [{"record": f"checked_{number}", "expr": expression} for number, expression in enumerate(expressions)]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rules.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": every}]}))
        promtool("check", "rules", str(path))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    parse_all()
    check_settings()
    promtool("check", "rules", str(ALERTS))
    alerts = rules()
    ok(f"{len(alerts)} alerts are valid, have a page each that is there, and tests both ways")
    promtool("test", "rules", ALERTS_TEST.name, directory=ALERTS_TEST.parent)
    ok("the alerts' tests")
    panels = [(title, plain(expression)) for title, expression in dashboard()]
    check_syntax([expression for _, expression in panels])
    ok(f"{len(panels)} expressions of the dashboard are valid")
    metrics = read_metrics(sys.argv[1])
    used = set()
    for where, expression in [*alerts, *panels]:
        used |= check_selectors(where, expression, metrics)
    ok(f"a gateway has all {len(used)} metrics that are asked for, with the labels that are asked for")
    unused = sorted(name for name in metrics if name.startswith("voicegain_") and name not in used)
    ok(f"nothing asks for: {', '.join(unused) or 'none is left over'}")


if __name__ == "__main__":
    main()
