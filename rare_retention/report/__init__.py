"""The report of a study: its figures, in the paper's arrangement, and one page that holds all."""
