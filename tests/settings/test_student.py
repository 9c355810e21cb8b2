"""Names of groups of students sort as their sizes do, whatever sorts them."""

from rare_retention.settings.student import Student, group


def test_groups_sort_by_number():
    names = [group("width", number) for number in (2, 10, 1000)]
    assert names == sorted(names) and names[0] == "width_00002"


def test_a_student_is_the_first_draw_unless_told_otherwise():
    assert Student("width_00002", 2, 2, 100).initialisation == 0
