"""What language models represent and use: evidence from their weights (Figs. 7, 10, App. B.4).

`kinds` declares which kinds of evidence there are, and `ask` finds them in a set of models.
`residuals` runs a model layer by layer; `probe`, `fourier`, `das` and `neurons` each ask one
question of what stands there, and `pairs` counts what `das` can ask. Nothing here trains a language
model or knows how one was trained.

Instances of a task are TOK1 TOK2 LABEL. Models are asked for LABEL after the two tokens, which
stand at positions 0 and 1. A *state* is the residual stream between layers: state 0 is the
embedding, state l = 1, 2, ... is what layer l has left.
"""
