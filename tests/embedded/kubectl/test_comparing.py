"""Comparing transcripts: what is volatile is replaced, everything else must be the same."""

from dataclasses import replace

import pytest

from tests.support import kubectl_transcripts as transcripts

SESSION = """# A session

## Files

`cm.yaml`
```yaml
apiVersion: v1
kind: ConfigMap
```

## Commands

### 1. pods

```console
$ kubectl get pods
```
(a remark)
stdout:
```text
NAME                   READY   STATUS        RESTARTS   AGE
web-78fcf74688-c5bqr   1/1     Running       0          2s
web-79b7887d7-4ctv9    1/1     Terminating   0          5m3s
```
stderr:
```text
Warning: something
```
exit code: 0

### 2. nothing

```console
$ kubectl get pods -n empty
```
exit code: 1
"""


@pytest.fixture
def session(tmp_path):
    path = tmp_path / "session.md"
    path.write_text(SESSION)
    return transcripts.read(path)


@pytest.fixture
def declared(tmp_path):
    def declared(text):
        path = tmp_path / "differences.yaml"
        path.write_text(text)
        return transcripts.read_differences(path)

    return declared


def test_a_transcript_is_read(session):
    assert session.files == {"cm.yaml": "apiVersion: v1\nkind: ConfigMap\n"}
    first, second = session.commands
    assert (first.number, first.title, first.line) == (1, "pods", "kubectl get pods")
    assert first.stdout.startswith("NAME ")
    assert (first.stderr, first.code) == ("Warning: something\n", 0)
    assert (second.stdout, second.stderr, second.code) == ("", "", 1)


def test_an_answer_is_made_comparable(session):
    assert transcripts.comparable(session.commands[0], node="localhost") == [
        "exit code 0",
        "NAME  READY  STATUS  RESTARTS  AGE",
        "web-<pod>  1/1  Running  0  <age>",
        "stderr: Warning: something",
    ]


@pytest.mark.parametrize(
    ("line", "steady"),
    [
        ("  Normal  Pulled  12s (x2 over 3m4s)  kubelet", "  Normal  Pulled  <age>  kubelet"),
        ("http-get http://:http/ delay=0s period=1s", "http-get http://:http/ delay=0s period=1s"),
        ("IP:  10.244.0.2", "IP:  <ip>"),
        ("clusterIP: 10.96.1.1 is given", "clusterIP: 10.96.1.1 is given"),
        ("10.244.0.2:8080,10.244.0.3:8080", "<ip>:8080"),
        ("svc  8080:30580/TCP", "svc  8080:<port>/TCP"),
        ("pod-template-hash=78fcf74688", "pod-template-hash=<hash>"),
        ("web-front and web-svc", "web-front and web-svc"),
        ("on localhost, not my-localhost", "on <node>, not my-localhost"),
        ("  memory:  24684100Ki", "  memory:  <quantity>"),
        ("at 2026-11-23T00:31:14Z", "at <time>"),
    ],
)
def test_only_what_is_volatile_is_replaced(session, line, steady):
    command = replace(session.commands[1], line="kubectl x", stdout=f"{line}\n")
    assert transcripts.comparable(command, node="localhost") == ["exit code 1", steady]


def test_a_difference_must_be_declared_for_its_command(declared):
    rows = declared(
        "[{what: w, reason: r, commands: {7: kubectl x}, recorded: [a+], here: ['b.*']}]"
    )
    assert transcripts.undeclared(7, ["aa", "same"], ["bcd", "same"], rows) == []
    assert [line for row in rows for line in row.missing()] == []
    assert transcripts.undeclared(7, ["aa"], ["other"], rows) == ["+ other"]
    assert transcripts.undeclared(8, ["aa"], ["bcd"], rows) == ["- aa", "+ bcd"]


def test_a_declared_difference_must_occur(declared):
    rows = declared("[{what: w, reason: r, commands: {7: x, 8: y}, recorded: [a], here: [b, c]}]")
    assert transcripts.undeclared(7, ["a"], ["b"], rows) == []
    missing = [line.rpartition(": ")[2] for line in rows[0].missing()]
    assert missing == ["8", "+ c"]
