"""The report of an ablation: rows, words, tables, LaTeX files and the forest figure."""
