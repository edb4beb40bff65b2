"""What the library costs, beside its peers: one module a question.

    python -m benchmarks [question ...] [--quick]     all, or these; then the plots
    python -m benchmarks.overhead [--quick]           one
    python -m benchmarks.plots                        the plots from the figures there are

Every question states in its docstring what is measured, and how. Figures go to `results.json`,
plots to `plots/`; those of `--quick`, which only shows that everything works, to `quick/`.
"""
