"""Backoff: a worker that dies young is restarted later each time, one that lived long at once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.daemon.device_worker import DELAY_S_FIRST, DELAY_S_MAX, LIVED_S_ENOUGH, Backoff

lives_s = st.floats(0, 10 * LIVED_S_ENOUGH)


def test_each_short_life_doubles_the_delay_up_to_the_limit() -> None:
    backoff = Backoff()
    delays_s = [backoff.delay_s(0.0) for _ in range(20)]
    assert delays_s[:4] == [DELAY_S_FIRST * factor for factor in (1, 2, 4, 8)]
    assert delays_s[-1] == DELAY_S_MAX


def test_a_long_life_counts_as_a_fresh_start() -> None:
    backoff = Backoff()
    for _ in range(20):
        backoff.delay_s(LIVED_S_ENOUGH - 0.1)
    assert backoff.delay_s(LIVED_S_ENOUGH) == DELAY_S_FIRST
    assert backoff.delay_s(0.0) == 2 * DELAY_S_FIRST


@settings(deadline=None, max_examples=200)
@given(st.lists(lives_s, min_size=2, max_size=30))
def test_whatever_the_lives_delays_stay_in_bounds_and_grow_until_a_long_one(
    lives_s: list[float],
) -> None:
    backoff = Backoff()
    before_s = backoff.delay_s(lives_s[0])
    assert before_s == DELAY_S_FIRST
    for lived_s in lives_s[1:]:
        delay_s = backoff.delay_s(lived_s)
        is_long = lived_s >= LIVED_S_ENOUGH
        assert delay_s == (DELAY_S_FIRST if is_long else min(2 * before_s, DELAY_S_MAX))
        before_s = delay_s


def test_devices_back_off_each_for_itself() -> None:
    one, other = Backoff(), Backoff()
    one.delay_s(0.0)
    assert other.delay_s(0.0) == DELAY_S_FIRST
