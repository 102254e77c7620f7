#!/usr/bin/env python3
"""Reads dashboards by the types that Grafana publishes of its schema, and compares what comes out with what went in:
a key that the schema does not know, or a value of another kind, does not survive that.

    validate.py DASHBOARD.json...
"""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel

plugins.register_default_plugins()

# What the Prometheus data source reads of an annotation; the schema has only what all data sources share.
OF_PROMETHEUS = {"titleFormat", "textFormat"}


def known(written, read, path, wrong):
    """Appends to `wrong` what the schema's types lose or change of `written`."""
    if isinstance(written, dict):
        if not isinstance(read, dict):
            wrong.append(f"{path}: {read!r} instead of an object")
            return
        for key, value in written.items():
            if key not in read:
                if path.startswith("dashboard.annotations.") and key in OF_PROMETHEUS:
                    continue
                if value is not None:
                    wrong.append(f"{path}.{key}: unknown")
                continue
            known(value, read[key], f"{path}.{key}", wrong)
    elif isinstance(written, list):
        if not isinstance(read, list) or len(read) != len(written):
            wrong.append(f"{path}: {read!r} instead of {len(written)} items")
            return
        for place, (one, other) in enumerate(zip(written, read)):
            known(one, other, f"{path}[{place}]", wrong)
    elif written != read:
        wrong.append(f"{path}: {read!r} instead of {written!r}")


def check(file):
    with open(file) as text:
        written = json.load(text)
    dashboard = Dashboard.from_json(written)
    read = json.loads(JSONEncoder(sort_keys=True).encode(dashboard))
    wrong = []
    known(written, read, "dashboard", wrong)
    for panel in dashboard.panels:
        if isinstance(panel, RowPanel):
            continue
        assert isinstance(panel, Panel), panel
        for what in (panel.title, panel.description, panel.field_config.defaults.unit):
            if not what:
                wrong.append(f"panel {panel.id_val} {panel.title!r}: no title, description or unit")
        if not panel.field_config.defaults.no_value:
            wrong.append(f"panel {panel.title!r}: says nothing while it is empty")
        if panel.type_val == "timeseries" and panel.field_config.defaults.min_val is None:
            wrong.append(f"panel {panel.title!r}: its axis may go below zero")
        if not panel.field_config.defaults.thresholds.steps:
            wrong.append(f"panel {panel.title!r}: no thresholds")
        if isinstance(panel.options, dict):
            wrong.append(f"panel {panel.title!r}: the schema knows no panel of type {panel.type_val}")
    return wrong


def main():
    bad = {file: wrong for file in sys.argv[1:] if (wrong := check(file))}
    for file, wrong in bad.items():
        print(f"{file}:", *wrong[:20], sep="\n  ", file=sys.stderr)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
