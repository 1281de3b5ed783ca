"""What Kubernetes demands of the schedule of a CronJob, in the notation of cron."""

import re
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules.causes import Problems

Object = Mapping[str, Any]
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: Sequence[tuple[int, int, Mapping[str, int]]] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(DAYS)}),
)
EVERY = re.compile(r"@every ([0-9.]+(ns|us|µs|ms|s|m|h))+")
DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


class ScheduleError(ValueError):
    """A schedule that cannot be read; the message is that of the real server."""


def check_schedule(schedule: str, spec: Object, problems: Problems) -> None:
    """A schedule and the time zone that it is meant in."""
    if "TZ" in schedule:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        problems.invalid("spec.schedule", schedule, detail)
    else:
        try:
            parse(schedule)
        except ScheduleError as error:
            problems.invalid("spec.schedule", schedule, str(error))
    zone = spec.get("timeZone")
    if zone is None:
        return
    if not zone:
        problems.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
    elif zone.lower() == "local" or zone not in zoneinfo.available_timezones():
        detail = (
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
            if zone.lower() == "local"
            else f"unknown time zone {zone}"
        )
        problems.invalid("spec.timeZone", zone, detail)


def parse(schedule: str) -> None:
    """Reads a schedule of five fields or a descriptor.

    Raises:
        ScheduleError: it cannot be read.
    """
    if schedule.startswith("@"):
        if schedule in DESCRIPTORS or re.fullmatch(
            r"@every ([0-9.]+(ns|us|µs|ms|s|m|h))+", schedule
        ):
            return
        if schedule.startswith("@every "):
            duration = schedule.removeprefix("@every ")
            raise ScheduleError(
                f'failed to parse duration {schedule}: time: invalid duration "{duration}"'
            )
        raise ScheduleError(f"unrecognized descriptor: {schedule}")
    fields = schedule.split()
    if len(fields) != 5:
        listed = " ".join(fields)
        raise ScheduleError(f"expected exactly 5 fields, found {len(fields)}: [{listed}]")
    for text, (low, high, words) in zip(fields, FIELDS, strict=True):
        for part in text.split(","):
            _range(part, low, high, words)


def _range(text: str, low: int, high: int, words: Mapping[str, int]) -> None:
    parts = text.split("/")
    ends = parts[0].split("-")
    if ends[0] in ("*", "?"):
        first, last = low, high
    else:
        first = last = _number(ends[0], words)
        if len(ends) == 2:
            last = _number(ends[1], words)
        elif len(ends) > 2:
            raise ScheduleError(f"too many hyphens: {text}")
    step = 1
    if len(parts) == 2:
        step = _number(parts[1], {})
        last = high if len(ends) == 1 else last
    elif len(parts) > 2:
        raise ScheduleError(f"too many slashes: {text}")
    if first < low:
        raise ScheduleError(f"beginning of range ({first}) below minimum ({low}): {text}")
    if last > high:
        raise ScheduleError(f"end of range ({last}) above maximum ({high}): {text}")
    if first > last:
        raise ScheduleError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")


def _number(text: str, words: Mapping[str, int]) -> int:
    if text.lower() in words:
        return words[text.lower()]
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise ScheduleError(
            f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'
        )
    if int(text) < 0:
        raise ScheduleError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)
