"""Quantities such as `100m` or `1Gi`: their numbers, and the one way in which each is written."""

import functools
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

BINARY = tuple(f"{letter}i" for letter in "KMGTPE")
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
POWERS = {power: suffix for suffix, power in DECIMAL.items()}
_parse = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,3}))?"
).fullmatch


def amount(quantity: Any) -> Fraction:
    """Returns the number that a quantity stands for; 0 when it is none."""
    return _read(str(quantity).strip())[0]


def canonical(quantity: Any) -> str:
    """Returns a quantity as the server writes it: `0.5` is `500m`, `1024Mi` is `1Gi`."""
    return _canonical(str(quantity).strip())


@functools.lru_cache(maxsize=4096)
def _read(text: str) -> tuple[Fraction, str]:
    """The number and its family: binary, decimal or exponent ("" when it is no quantity)."""
    match = _parse(text)
    if match is None:
        return Fraction(0), ""
    number, suffix, exponent = Fraction(Decimal(match[1])), match[2], match[3]
    if exponent is not None:
        return number * Fraction(10) ** int(exponent), "exponent"
    if suffix in BINARY:
        return number * 1024 ** (BINARY.index(suffix) + 1), "binary"
    return number * Fraction(10) ** DECIMAL[suffix or ""], "decimal"


@functools.lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    number, family = _read(text)
    if not family:
        return text
    if family == "binary" and (number.denominator != 1 or -1024 < number < 1024):
        family = "decimal"
    nano = number * 10**9
    if nano.denominator != 1:  # less than a billionth is rounded away from zero
        number = Fraction(nano.__ceil__() if nano > 0 else nano.__floor__(), 10**9)
    if number == 0:
        return "0"
    if family == "binary":
        whole, step = int(number), 0
        while whole % 1024 == 0 and step < len(BINARY):
            whole, step = whole // 1024, step + 1
        return f"{whole}{BINARY[step - 1] if step else ''}"
    power = -9
    while power < 18 and (number / Fraction(10) ** (power + 3)).denominator == 1:
        power += 3
    digits = int(number / Fraction(10) ** power)
    if family == "exponent":
        return f"{digits}e{power}" if power else str(digits)
    return f"{digits}{POWERS[power]}"
