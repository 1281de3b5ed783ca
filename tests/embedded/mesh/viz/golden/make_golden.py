"""Records what a real Prometheus answers to a list of queries over a fixed set of samples.

Run once with the binary of Debian's `prometheus` package (2.42) beside it; the JSON files are
committed, so the tests need no Prometheus:

    python make_golden.py /path/to/prometheus /path/to/promtool

Prometheus replays a history by `promtool tsdb create-blocks-from openmetrics` and then answers
over HTTP; each answer is kept with its query. Values are stored as Prometheus prints them.
"""

import json
import math
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
START_S = 1_700_000_000
STEP_S = 10
COUNT = 60
BOUNDS = ("1", "5", "10", "50", "100", "200", "+Inf")


def samples() -> list[tuple[str, dict[str, str], list[tuple[float, float]]]]:
    """Counters with a reset, a late start, an early end and a gap; a gauge; a histogram."""
    dice = random.Random(7)
    series = []
    for pod, classes in (("a", ("success", "failure")), ("b", ("success",)), ("c", ("success",))):
        for classification in classes:
            labels = {
                "pod": pod,
                "deployment": "web" if pod != "c" else "bot",
                "classification": classification,
            }
            value, points = float(dice.randrange(3)), []
            for index in range(COUNT):
                value += dice.randrange(5)
                if pod == "b" and index == 30:
                    value = 1.0
                if pod == "c" and not 12 <= index < 40:
                    continue
                if pod == "a" and 20 <= index < 23:
                    continue
                points.append((START_S + STEP_S * index + (3.25 if pod == "b" else 0), value))
            series.append(("response_total", labels, points))
    gauge = [(START_S + STEP_S * i, round(20 * math.sin(i / 7), 3)) for i in range(COUNT)]
    series.append(("temperature", {"room": "x"}, gauge))
    series.append(("temperature", {"room": "y"}, [(t, -v / 2) for t, v in gauge]))
    series.append(("room_size", {"room": "x", "floor": "1"}, [(t, 12.0) for t, _ in gauge]))
    series.append(("room_size", {"room": "y", "floor": "2"}, [(t, 30.0) for t, _ in gauge]))
    for direction, typical in (("outbound", 150.0), ("inbound", 4.0)):
        counts, total = [0] * len(BOUNDS), 0.0
        points_of: list[list[tuple[float, float]]] = [[] for _ in BOUNDS]
        sums, numbers = [], []
        for index in range(COUNT):
            for _ in range(dice.randrange(6)):
                value = typical * dice.uniform(0.6, 1.6)
                total += value
                for place, bound in enumerate(BOUNDS):
                    counts[place] += value <= float(bound)
            at = START_S + STEP_S * index
            for place in range(len(BOUNDS)):
                points_of[place].append((at, float(counts[place])))
            sums.append((at, total))
            numbers.append((at, float(counts[-1])))
        for bound, points in zip(BOUNDS, points_of, strict=True):
            series.append(("latency_ms_bucket", {"direction": direction, "le": bound}, points))
        series.append(("latency_ms_sum", {"direction": direction}, sums))
        series.append(("latency_ms_count", {"direction": direction}, numbers))
    return series


QUERIES = """
response_total
response_total{classification="success"}
response_total{pod=~"a|b",classification!="failure"}
response_total{pod!~"a.*"}
{__name__=~"temp.*",room="x"}
response_total offset 2m
response_total offset -1m
response_total{nothing=""}
response_total[45s]
rate(response_total[1m])
rate(response_total[5m])
rate(response_total[15s])
increase(response_total[1m])
increase(response_total[3m] offset 1m)
increase(response_total[10m])
increase(response_total[1h])
irate(response_total[1m])
delta(temperature[2m])
idelta(temperature[2m])
sum(rate(response_total[1m]))
sum by (deployment) (increase(response_total[2m]))
sum without (pod) (response_total)
avg by (deployment, classification) (response_total)
min(response_total)
max by (pod) (response_total)
count by (deployment) (response_total)
stddev(response_total)
stdvar by (deployment) (response_total)
group by (pod) (response_total)
quantile(0.3, response_total)
topk(2, response_total)
bottomk(1, temperature)
topk by (deployment) (1, response_total)
histogram_quantile(0.5, sum by (le) (rate(latency_ms_bucket[1m])))
histogram_quantile(0.95, sum by (le, direction) (rate(latency_ms_bucket[2m])))
histogram_quantile(0.99, sum by (le, direction) (irate(latency_ms_bucket[2m])))
histogram_quantile(0.5, latency_ms_bucket)
histogram_quantile(0, latency_ms_bucket)
histogram_quantile(1, latency_ms_bucket)
histogram_quantile(1.5, latency_ms_bucket)
histogram_quantile(-1, latency_ms_bucket)
histogram_quantile(0.9, latency_ms_bucket{le!="+Inf"})
increase(latency_ms_sum[2m]) / increase(latency_ms_count[2m])
latency_ms_sum / latency_ms_count
latency_ms_sum / on(direction) latency_ms_count
latency_ms_bucket / ignoring(le) group_left latency_ms_count
temperature * on(room) group_left(floor) room_size
room_size * on(room) group_right(floor) temperature
sum(increase(response_total{classification="success"}[2m])) / sum(increase(response_total[2m]))
response_total / ignoring(classification, pod, deployment) response_total
response_total + temperature
temperature > 0
temperature > bool 0
temperature < on(room) room_size
temperature == bool temperature
0 < temperature
room_size >= 12
-temperature
-temperature ^ 2
temperature % 3
temperature ^ 2
temperature / 0
0 / 0
1 / 0
-1 / 0
2 ^ 3 ^ 2
1 + 2 * 3 - 4 / 8
time()
time() - 1700000000
vector(3)
vector(time())
scalar(temperature{room="x"})
scalar(temperature)
temperature{room="x"} + scalar(temperature{room="y"})
temperature and on(room) room_size
temperature and room_size
temperature unless temperature{room="x"}
temperature{room="x"} or temperature
temperature or on(room) room_size
sum_over_time(temperature[1m])
avg_over_time(temperature[1m])
min_over_time(temperature[1m])
max_over_time(temperature[1m])
count_over_time(response_total[1m])
last_over_time(response_total[1m])
changes(response_total[5m])
resets(response_total[10m])
abs(temperature)
ceil(temperature)
floor(temperature)
sort_desc(response_total)
temperature @ 1700000100
rate(response_total[1m] @ end())
sum(missing)
missing
rate({__name__=~"temperature|room_size"}[1m])
1e20 * 3
1e-9 / 3
0.1 + 0.2
123456789012345680
sum by (le) rate(latency_ms_bucket[1m])
rate(response_total)
response_total{
1 > 2
{}
nonsense(temperature)
""".strip().splitlines()

MOMENTS = (START_S + 300, START_S + 455.5, START_S + 700, START_S + 595, START_S + 899.999)


def openmetrics() -> str:
    """The samples as OpenMetrics text, which promtool turns into blocks."""
    lines = []
    for name, labels, points in samples():
        inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
        lines += [f"{name}{{{inner}}} {value!r} {at!r}" for at, value in points]
    return "\n".join([*lines, "# EOF", ""])


def ask(base: str, path: str, query: dict[str, str]) -> dict[str, object]:
    """One API request; errors are answers, too."""
    url = f"{base}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url) as response:
            status, body = response.status, json.load(response)
    except urllib.error.HTTPError as error:
        status, body = error.code, json.load(error)
    return {"path": path, "parameters": query, "status": status, "answer": body}


def main(prometheus: str, promtool: str) -> None:
    """Write samples.json and answers.json."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "samples.txt")
        text.write_text(openmetrics())
        data = Path(folder, "data")
        subprocess.run(
            [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        config = Path(folder, "prometheus.yml")
        config.write_text("global: {}\n")
        server = subprocess.Popen(
            [
                prometheus,
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=100y",
                "--web.listen-address=127.0.0.1:19190",
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(4)
            base = "http://127.0.0.1:19190"
            answers = [
                ask(base, "query", {"query": query, "time": repr(moment)})
                for query in QUERIES
                for moment in MOMENTS
            ]
            answers += [
                ask(
                    base,
                    "query_range",
                    {
                        "query": query,
                        "start": str(START_S + 100),
                        "end": str(START_S + 880),
                        "step": "37s",
                    },
                )
                for query in QUERIES
            ]
            times = {"start": str(START_S), "end": str(START_S + 600)}
            answers += [
                ask(base, "series", {"match[]": 'response_total{pod="a"}', **times}),
                ask(base, "series", {"match[]": "temperature", **times}),
                ask(base, "series", times),
                ask(base, "labels", times),
                ask(base, "label/pod/values", times),
                ask(base, "label/__name__/values", times),
                ask(base, "query", {"query": ""}),
                ask(base, "query", {"query": "1", "time": "yesterday"}),
                ask(base, "query", {"query": "1", "time": "2023-11-14T22:13:20Z"}),
                ask(base, "query_range", {"query": "1", **times, "step": "0"}),
                ask(base, "query_range", {"query": "1", **times, "step": "1ms"}),
            ]
        finally:
            server.terminate()
            server.wait()
    kept = [{"name": n, "labels": labels, "points": p} for n, labels, p in samples()]
    HERE.joinpath("samples.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    lines = ",\n".join(json.dumps(answer, separators=(",", ":")) for answer in answers)
    HERE.joinpath("answers.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
