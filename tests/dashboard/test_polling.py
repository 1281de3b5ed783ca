"""One thing is read again and again, while somebody looks."""

import threading

import pytest

from labkit.dashboard.polling import Attention, Poll
from labkit.errors import StateError


@pytest.fixture
def attention():
    attention = Attention()
    yield attention
    attention.end()


def start(read, attention, *, period_s=0.01):
    poll = Poll("thing", read, period_s=period_s, attention=attention)
    poll.start()
    return poll


def test_nothing_is_read_while_nobody_looks(attention):
    read = threading.Event()
    poll = start(read.set, attention)
    assert not read.wait(0.1)
    attention.look()
    assert read.wait(10)
    attention.end()
    poll.join()


def test_a_reading_that_fails_keeps_the_last_value_and_says_why(attention, wait):
    answers = iter([7])

    def read():
        for answer in answers:
            return answer
        raise StateError("it is gone")

    poll = start(read, attention)
    attention.look()
    wait(lambda: poll.reading.problem, "a problem")
    assert poll.reading.value == 7
    assert poll.reading.problem == "it is gone."
    poll.forget()
    attention.end()
    poll.join()


def test_a_reading_that_breaks_does_not_end_the_poll(attention, wait):
    answers = iter([ZeroDivisionError("no"), 7])

    def read():
        answer = next(answers, 7)
        if isinstance(answer, Exception):
            raise answer
        return answer

    poll = start(read, attention)
    attention.look()
    wait(lambda: poll.reading.value == 7, "the next value")
    attention.end()
    poll.join()


def test_asking_cuts_the_pause_short(attention, wait):
    count = []
    poll = start(lambda: count.append(1), attention, period_s=600)
    attention.look()
    wait(lambda: len(count) == 1, "the first reading")
    poll.ask()
    wait(lambda: len(count) == 2, "the second reading")
    attention.end()
    poll.join()
