"""What the results of a study show, as numbers: pure functions that read arrays, never a run.

`states` picks states out of the results, `exposures` says how each stands to the exposures of a
task, `spans` which cycles between them were measured, and `retention` follows a value from one
exposure to the next; `forgetting` follows one while its task is not shown, `savings` while it is
learned again, `control` compares with students that never saw it, and `decomposition` splits what
sizes differ by. `capture` and `common_gradient` compare with the theory; `gradients` and `cosines`
say how the parts of a batch's gradient stand to a task's own, `sham` what of it a task that was
never shown has too, `block_effects` what updates do to one by block. `text_tasks` says when and how
far models learn injected tasks, `subtasks` when and how many of many parities, `representation`
what was found in snapshots. `scaling_fit` fits laws to the losses that `scaling_points` reads, and
`intervals` says how sure a number is. `branches` follows branches of runs from where each turned
off, `once_known` from where each student first knows the task.
"""
