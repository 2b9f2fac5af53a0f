"""Component circuits as sets of edges: chosen by their scores, pruned, compared, united. Plain NumPy."""
