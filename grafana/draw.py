#!/usr/bin/env python3
"""Queries Prometheus for every panel of the dashboards, and draws or checks the results.

    grafana/draw.py http://127.0.0.1:9090 --seconds 600 --out docs/img     one PNG per dashboard
    grafana/draw.py http://127.0.0.1:9090 --seconds 60 --check             exits with 1 if a query fails or is empty
    grafana/draw.py … --check --not-zero "Webhook attempts" failed         and if this series is always zero

Only drawing needs matplotlib.
"""

import argparse
import json
import pathlib
import sys
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).parent


def query(server, path, **arguments):
    url = f"{server}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise ValueError(json.load(error).get("error", str(error)))


def substituted(expression, seconds, interval, realm):
    """The expression with its dashboard variables replaced."""
    for name, value in (
        ("$__rate_interval", f"{interval}s"),
        ("$__range", f"{seconds}s"),
        ("$node", ".*"),
        ("$carrier", ".*"),
        ("$realm", realm),
    ):
        expression = expression.replace(name, value)
    return expression


def series(server, panel, seconds, interval, until, realm):
    """The results of a panel's queries: a list of (legend, times, values)."""
    found = []
    for target in panel["targets"]:
        expression = substituted(target["expr"], seconds, interval, realm)
        result = query(server, "query_range", query=expression, start=until - seconds, end=until, step=max(1, seconds / 240))
        if not any(value not in ("NaN", "+Inf", "-Inf") for one in result for _, value in one["values"]):
            raise ValueError(f"no data: {expression}")
        for one in result:
            legend = target["legendFormat"]
            for label, value in one["metric"].items():
                legend = legend.replace("{{" + label + "}}", value)
            times, values = zip(*((at, float(value)) for at, value in one["values"]))
            found.append((legend or panel["title"], times, values))
    return found


def zero_throughout(data, title, legends):
    """The defects of a panel that must show values: one line per legend, or one for the panel without legends."""
    shown = [(legend, values) for panel, lines in data if panel == title for legend, _, values in lines]
    for legend in legends or [None]:
        lines = [values for name, values in shown if legend in (None, name)]
        # NaN is neither above nor below zero.
        if not any(value > 0 or value < 0 for values in lines for value in values):
            yield f"{title}: {legend or 'every series'} is zero throughout, or missing"


def formatted(value, unit):
    """The value in a readable form."""
    if value != value:
        return "–"
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "prefix:$":
        return f"${value:.3f}"
    if unit == "bytes":
        return f"{value / 1e6:,.0f} MB"
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if value >= 2 * size:
                return f"{value / size:,.3g} {name}"
        return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"
    suffix = {"reqps": "/s", "cps": "/s", "ops": "/s", "pps": "/s", "mps": "/s"}.get(unit, "")
    return f"{value:,.4g}{suffix}"


def colour(value, steps):
    chosen = steps[0]["color"]
    for step in steps[1:]:
        if value >= step["value"]:
            chosen = step["color"]
    return {"green": "#2f9e44", "red": "#e03131"}.get(chosen, chosen)


def draw(dashboard, data, file):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plot
    from matplotlib.ticker import FuncFormatter

    plot.rcParams.update({"font.size": 7, "axes.titlesize": 8, "axes.titleweight": "bold"})
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"])
    figure = plot.figure(figsize=(16, height * 0.34), dpi=80)
    figure.suptitle(dashboard["title"], x=0.01, y=0.998, ha="left", va="top", fontsize=14, fontweight="bold")
    top = 1 - 0.45 / (height * 0.34)
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        x, w = grid["x"] / 24, grid["w"] / 24
        y, h = top * (1 - (grid["y"] + grid["h"]) / height), top * grid["h"] / height
        if panel["type"] == "row":
            figure.text(0.01, y, panel["title"], fontsize=10, color="#495057", fontweight="bold", va="bottom")
            continue
        defaults = panel["fieldConfig"]["defaults"]
        unit, steps = defaults["unit"], defaults["thresholds"]["steps"]
        lines = data[panel["id"]]
        left = 0.06 if panel["type"] == "bargauge" else 0.034
        box = figure.add_axes((x + left, y + h * 0.2, w - left - 0.01, h * 0.62))
        box.set_title(panel["title"], loc="left")
        kind = panel["type"]
        if not lines:
            box.axis("off")
            box.text(0, 0.5, textwrap.fill(defaults["noValue"], int(w * 110)), fontsize=7, color="#868e96",
                     transform=box.transAxes, va="center")
        elif kind == "stat":
            box.axis("off")
            latest = [(name, [v for v in values if v == v][-1:] or [float("nan")]) for name, _, values in lines]
            for line, (name, values) in enumerate(latest[:3]):
                shown = formatted(values[0], unit)
                mapped = defaults.get("mappings", [])
                if mapped:
                    shown = mapped[0]["options"].get(f"{values[0]:.0f}", {}).get("text", shown)
                name = "" if name == panel["title"] else name + "  "
                box.text(0, 0.5 - 0.3 * line, name + shown, fontsize=10 if name else 20,
                         color=colour(values[0], steps), transform=box.transAxes, va="center")
        elif kind == "bargauge":
            names = [name for name, _, _ in lines]
            values = [values[-1] for _, _, values in lines]
            box.barh(names, values, color=[colour(v, steps) for v in values])
            box.set_xlim(0, defaults.get("max", None))
            box.xaxis.set_major_formatter(FuncFormatter(lambda v, _, unit=unit: formatted(v, unit)))
        elif kind == "heatmap":
            ordered = sorted(lines, key=lambda line: float(line[0].replace("+Inf", "inf")))
            table, before = [], None
            for _, times, values in ordered:
                table.append([max(0, v - (before[i] if before and i < len(before) else 0)) for i, v in enumerate(values)])
                before = values
            longest = max(len(one) for one in table)
            table = [[0] * (longest - len(one)) + one for one in table]
            box.imshow(table, aspect="auto", origin="lower", cmap="Oranges", interpolation="nearest",
                       norm=matplotlib.colors.PowerNorm(0.4))
            some = range(0, len(ordered), 3)
            box.set_yticks(list(some), [formatted(float(ordered[i][0].replace("+Inf", "inf")), unit) for i in some])
            box.set_xticks([])
        else:
            stacked = defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal"
            until = max(times[-1] for _, times, _ in lines)
            if stacked:
                moments = sorted({t for _, times, _ in lines for t in times})
                rows = [[v if v == v else 0 for v in (dict(zip(times, values)).get(t, 0) for t in moments)] for _, times, values in lines]
                box.stackplot([t - until for t in moments], rows, labels=[name for name, _, _ in lines], alpha=0.75)
            else:
                for name, times, values in lines:
                    box.plot([t - until for t in times], values, label=name, linewidth=1.1)
                for step in steps[1:]:
                    low, high = box.get_ylim()
                    if low <= step["value"] <= high:
                        box.axhline(step["value"], color=colour(step["value"], steps), linestyle="--", linewidth=0.8)
            if "min" in defaults:
                # A line along the bottom must be visible too.
                low, high = defaults["min"], max(box.get_ylim()[1], defaults["min"])
                box.set_ylim(low - 0.03 * ((high - low) or 1), high)
            box.yaxis.set_major_formatter(FuncFormatter(lambda v, _, unit=unit: formatted(v, unit)))
            box.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0f} s"))
            box.grid(True, linewidth=0.3)
            if len(lines) > 1 or lines[0][0] != panel["title"]:
                box.legend(fontsize=5.5, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False,
                           handlelength=1)
    pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
    plot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prometheus")
    parser.add_argument("--seconds", type=int, default=600, help="the length of the range, up to now")
    parser.add_argument("--interval", type=int, default=20, help="the window of rates, in seconds")
    parser.add_argument("--realm", default="live", help="live (real carriers) or sandbox")
    parser.add_argument("--out", help="the directory of the PNGs")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a panel has no data")
    parser.add_argument("--not-zero", action="append", nargs="+", default=[], metavar=("PANEL", "LEGEND"),
                        help="a panel, or series of it, that must not always be zero")
    arguments = parser.parse_args()
    until, defects, queried, everything = time.time(), [], 0, []
    for path in sorted((HERE / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        for annotation in dashboard["annotations"]["list"]:
            expression = substituted(annotation["expr"], arguments.seconds, arguments.interval, arguments.realm)
            try:
                query(arguments.prometheus, "query", query=expression)
            except ValueError as error:
                defects.append(f"{dashboard['title']}: {annotation['name']}: {error}")
        data = {}
        for panel in dashboard["panels"]:
            if panel["type"] == "row":
                continue
            queried += 1
            try:
                data[panel["id"]] = series(arguments.prometheus, panel, arguments.seconds, arguments.interval, until,
                                           arguments.realm)
            except ValueError as error:
                defects.append(f"{dashboard['title']}: {panel['title']}: {error}")
                data[panel["id"]] = []
            everything.append((panel["title"], data[panel["id"]]))
        if arguments.out:
            draw(dashboard, data, pathlib.Path(arguments.out) / f"{path.stem}.png")
    print(f"{queried} panels queried, {len(defects)} without data")
    for title, *legends in arguments.not_zero:
        defects.extend(zero_throughout(everything, title, legends))
    if defects and arguments.check:
        sys.exit("\n".join(defects))
    for line in defects:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
