# ruff: noqa: INP001 - a script, no package
"""Writes docs/drills.md from the drills themselves: `python docs/generate_drills.py`.

tests/test_docs.py compares the file with what this prints.
"""

from pathlib import Path

from labkit.drills import DRILLS, Drill

HEAD = """# Break-it drills

`labkit drill NAME` breaks one thing in a lab that is at the end of chapter 08, waits until it shows
(as long as Linkerd's own mechanisms take), and tells the trouble, not its cause. Then it is yours:

```sh
labkit drill --list                   # what there is
labkit drill mirror-label-missing     # break it
labkit drill --hint                   # three hints, from gentle to nearly the answer
labkit drill --verify                 # is it mended? looks at the real thing; 0 yes, 1 no
labkit drill --heal                   # put it right from any state, and tell what it was
```

Faults are real and are made by means that any cluster has: Kubernetes' API and, for the black hole,
the network of a cloud that emulates one. What a drill changes is recorded in the lab's folder
(`drills.json`) before it is changed, so `--heal` works after a kill at any moment, and once more
does no harm. One drill is open at a time. `labkit status` and `labkit check` name an open one,
`labkit solve` and `labkit reset` heal it first.

Read no further if you want to find the causes yourself: the rest of this page is for instructors.
It is made by `docs/generate_drills.py`.
"""


def render() -> str:
    """The page."""
    return "\n".join([HEAD, *(_drill(drill) for drill in DRILLS.values())])


def _drill(drill: Drill) -> str:
    hints = "\n".join(f"{n}. {text}" for n, text in enumerate(drill.hints, start=1))
    symptoms = "\n".join(f"| `{_cell(s.where)}` | {s.what} |" for s in drill.symptoms)
    return f"""## {drill.name}

{drill.task}

What is broken: {drill.breaks}

| Where an operator looks | What is seen |
|---|---|
{symptoms}

{hints}
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(__file__).with_name("drills.md").write_text(render())
