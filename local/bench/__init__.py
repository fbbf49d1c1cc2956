"""The benchmarks, one file for each subject. Figures are of one run, and ratios are within it."""
