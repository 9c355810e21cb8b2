"""Why larger models learn more: a scaling-study framework in JAX.

It reproduces "Why Larger Models Learn More: Effects of Capacity, Interference, and Rare-Task
Retention" (arXiv 2605.29548): declare a mixture of common and rare tasks and a ladder of model
sizes, train, watch how the tasks' gradients interfere, and judge the paper's claims one by one.
"""

__version__ = "0.1.0"
