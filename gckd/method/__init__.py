"""The method of the paper, one module per equation or loss. PAPER.md ties each equation to its object and its test.

Reading order:
    banks          memory banks of teacher embeddings (eq. 1-2); `warm_start` fills them before the first step
    propagation    message passing over the banks (eq. 3-4); the graphs themselves are in `gckd.graph`
    teacher        EMA teacher (eq. 5)
    pseudo_labels  pseudo labels and the loss that follows them (eq. 6-8)
    matching       cross-domain matching (eq. 9)
    step           all of this in one adaptation step, as named loss terms (eq. 10)

Beside the paper: `losses`, `mlm_loss` and `source_losses` (inherited from ALBEF), `alignment`, `metric_loss` and
`self_supervision` (optional terms), `source_free` and `unseen_words` (ours), `baselines` (published methods to compare
with). `parts` and `build` turn a config into the objects of a step.
"""
