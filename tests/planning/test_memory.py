"""What the TPU compiler says of memory."""

import made_hlo

from rare_retention.planning import memory


def test_a_report_has_the_devices_memory_and_its_largest_buffers():
    found = memory.report(made_hlo.REPORT, most=2)
    assert found.bytes == 19877323776
    assert [own.bytes for own in found.largest] == [2 * 2**30, round(1.88 * 2**30)]
    assert found.largest[1].shapes == "2×bf16[64,4096,3,8,8]"


def test_a_report_that_is_still_being_written_is_none():
    whole = made_hlo.REPORT
    assert memory.report(whole[: whole.index("Memory Space: vmem")]) is None
    assert memory.report("") is None


def test_an_error_says_how_much_is_too_much():
    found = memory.exceeded(made_hlo.EXCEEDED)
    assert (found.bytes, found.capacity) == (round(18.51 * 2**30), round(15.75 * 2**30))
    used = memory.exceeded("Ran out of memory in memory space hbm. Used 21.18G of 15.75G hbm.")
    assert used.bytes == round(21.18 * 2**30)
    assert memory.exceeded("INTERNAL: something else") is None
