"""The flag that names one unit of a study, for the launchers that take it."""

from absl import flags

UNIT = flags.DEFINE_string("unit", None, "name of the one unit to take, such as --units lists")
