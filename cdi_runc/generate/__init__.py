"""CDI specs from what the kernel shows: recipes, which are data, are applied to /sys, /proc and /dev below a root.

The data goes one way: a tree (tree.py) and recipes (recipe.py, collection.py) give candidates (match.py, values.py,
edits.py), candidates give specs (specs.py), and specs give files (files.py). Knows the CDI standard and the kernel,
no engine and no runtime.
"""
