"""Edges between rows become groups: connected components, those that are too large cut at their weakest edges."""

import numpy as np


def components(rows: int, edges: np.ndarray) -> np.ndarray:
    """int64 [rows]: the component of each row, numbered by its first row; `edges` is int [n, 2]."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(rows, rows))
    return by_first_row(connected_components(graph, directed=False)[1])


def by_first_row(labels: np.ndarray) -> np.ndarray:
    """The same partition, its parts numbered 0, 1, ... in the order of their first rows."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def chain(codes: np.ndarray) -> np.ndarray:
    """int64 [n, 2]: edges that join rows of equal code, each to the next one; a code below 0 joins none."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    same = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0))
    return np.stack([order[same], order[same + 1]], axis=1)


def partnered(rows: int, edges: np.ndarray) -> np.ndarray:
    """bool [rows]: whether an edge touches the row."""
    touched = np.zeros(rows, bool)
    touched[edges.ravel()] = True
    return touched
