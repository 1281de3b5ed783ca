"""Golden tests: every mistake of a user has its message, compared line by line.

`golden/NAME.yaml` is the input, `golden/NAME.txt` what labkit says about it. To regenerate:
`LABKIT_REGENERATE=1 python -m pytest tests/params`, then read the difference.
"""

import os
from pathlib import Path

import pytest

from labkit.errors import InputError
from labkit.params import load_params

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("source", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_mistake_has_its_message(source, monkeypatch):
    monkeypatch.chdir(GOLDEN)
    with pytest.raises(InputError) as caught:
        load_params(source.name)
    said = str(caught.value) + "\n"
    expected = source.with_suffix(".txt")
    if os.environ.get("LABKIT_REGENERATE"):
        expected.write_text(said)
    assert said == expected.read_text()
