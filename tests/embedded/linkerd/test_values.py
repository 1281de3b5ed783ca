"""`--set`, `--values` and their likes."""

import pytest

from labkit.embedded.linkerd.values import merge, overrides
from labkit.errors import InputError


@pytest.mark.parametrize(
    ("settings", "tree"),
    [
        (["a=1"], {"a": 1}),
        (["a.b.c=true"], {"a": {"b": {"c": True}}}),
        (["a[0].b=x"], {"a": [{"b": "x"}]}),
        (["a[1]=x"], {"a": [None, "x"]}),
        (["a=1,b=two"], {"a": 1, "b": "two"}),
        ([r"a=1\,2"], {"a": "1,2"}),
        (["a="], {"a": ""}),
        (["a=1", "a=2"], {"a": 2}),
        (
            ["controllers[0].link.ref.name=east", "controllers[0].replicas=2"],
            {"controllers": [{"link": {"ref": {"name": "east"}}, "replicas": 2}]},
        ),
    ],
)
def test_paths_build_a_tree(settings, tree):
    assert overrides([], settings) == tree


@pytest.mark.parametrize("setting", ["a", "=1", "a..b=1", "[0]=1", "a[x]=1", "a[99999]=1"])
def test_a_malformed_path_is_refused(setting):
    with pytest.raises(InputError, match="--set"):
        overrides([], [setting])


def test_files_come_before_settings_and_strings_stay_strings(tmp_path):
    (tmp_path / "v.yaml").write_text("a: {b: 1, c: 2}\n")
    (tmp_path / "ca.crt").write_text("PEM")
    tree = overrides(
        [str(tmp_path / "v.yaml")],
        ["a.b=3"],
        strings=["d=007"],
        contents=[f"e={tmp_path}/ca.crt"],
    )
    assert tree == {"a": {"b": 3, "c": 2}, "d": "007", "e": "PEM"}


@pytest.mark.parametrize("content", ["- 1\n", "a: [", "\x00"])
def test_a_values_file_must_be_a_mapping(tmp_path, content):
    (tmp_path / "v.yaml").write_text(content)
    with pytest.raises(InputError, match=r"v\.yaml"):
        overrides([str(tmp_path / "v.yaml")], [])


def test_merging_changes_neither_side():
    base, over = {"a": {"b": 1}, "l": [1]}, {"a": {"c": 2}, "l": [2]}
    assert merge(base, over) == {"a": {"b": 1, "c": 2}, "l": [2]}
    assert (base, over) == ({"a": {"b": 1}, "l": [1]}, {"a": {"c": 2}, "l": [2]})
