"""How long heartbeats have stood still, by the clock of who looks at them."""

from etils import epath

from rare_retention.record.pulses import Pulses


def test_silence_is_counted_from_the_first_look_that_saw_this_beat():
    now = [100.0]
    pulses, one, two = Pulses(lambda: now[0]), epath.Path("one"), epath.Path("two")
    assert pulses.silent(one, ("holder", "3")) == 0
    now[0] += 50
    assert pulses.silent(one, ("holder", "3")) == 50
    assert pulses.silent(two, ("holder", "3")) == 0
    now[0] += 50
    assert pulses.silent(one, ("holder", "3")) == 100
    assert pulses.silent(one, ("holder", "4")) == 0
    now[0] += 1
    assert pulses.silent(one, ("another", "4")) == 0
    assert pulses.silent(two, ("holder", "3")) == 51
