"""What the results of a study show, as numbers: pure functions that read arrays, never a run.

`states` picks states out of the results, `retention` follows a value from one exposure to the next,
`capture` and `interference` compare with the theory, `language` says when and how far models learn
injected tasks, `scaling` fits laws to final losses, and `intervals` says how sure a number is.
"""
