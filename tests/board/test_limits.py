from labkit.board.limits import Buckets, Limit


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_passes_and_then_a_steady_rate():
    clock = Clock()
    buckets = Buckets(Limit(burst=3, per_s=0.5), clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2]
    clock.now = 1.9
    assert buckets.take("a") > 0
    clock.now = 2.1
    assert buckets.take("a") == 0
    assert buckets.take("b") == 0


def test_memory_is_bounded_and_empty_buckets_outlive_full_ones():
    clock = Clock()
    buckets = Buckets(Limit(burst=1, per_s=0.1), most=10, clock=clock)
    for number in range(100):
        clock.now += 0.01
        buckets.take(f"spray-{number}")
    assert len(buckets._filled) <= 10
    assert buckets.take("spray-99") > 0
