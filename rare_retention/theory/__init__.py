"""Closed forms of the paper's theory in NumPy float64.

`utility` says which features a student of a given width retains (Theorem 3), `interference` what
the common tasks leave over (Theorem 4 to Proposition 6), `one_neuron` how one neuron is pulled
between two tasks (Example 7), `scaling` what loss follows from size and data (Sec. 2). `checks`
holds the conditions on their inputs.
"""
