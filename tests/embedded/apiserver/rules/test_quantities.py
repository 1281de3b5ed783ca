"""Quantities: one way of writing each, and numbers that can be compared."""

from fractions import Fraction

import pytest

from labkit.embedded.apiserver.rules import defaulting
from labkit.embedded.apiserver.rules.quantities import amount, canonical


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("0.5Gi", "512Mi"),
        ("1.5Gi", "1536Mi"),
        ("1500Mi", "1500Mi"),
        ("512", "512"),
        ("0.5Ki", "512"),
        ("0.1Gi", "107374182400m"),
        ("1000k", "1M"),
        ("1e3", "1e3"),
        ("1e4", "10e3"),
        ("0.0001", "100u"),
        ("0.1n", "1n"),
        ("-1", "-1"),
        (2, "2"),
        (0.25, "250m"),
        ("0", "0"),
    ],
)
def test_a_quantity_is_written_in_one_way(given, written):
    assert canonical(given) == written


def test_quantities_of_different_notations_are_the_same_number():
    assert amount("1Gi") == amount("1024Mi") == 1024**3
    assert amount("1500m") == Fraction(3, 2)


def test_text_that_is_no_quantity_stays_as_it_is():
    assert canonical("lots") == "lots"


def test_quantities_of_an_object_are_rewritten_wherever_its_kind_has_any():
    limits = {"limits": {"cpu": "1000m", "memory": "1024Mi"}}
    volume = {"name": "v", "emptyDir": {"sizeLimit": "0.5Gi"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "resources": limits}], "volumes": [volume]},
    }
    found = defaulting.apply_defaults(pod)["spec"]
    assert found["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert found["volumes"][0]["emptyDir"] == {"sizeLimit": "512Mi"}
