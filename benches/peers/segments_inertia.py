"""The inertia of several results over all rows: FEATURES SEGMENTS STARTS RESULT...

Of each result, about the means of its segments; at last the lowest of Lloyd's iteration over all rows, by scikit-learn,
from the best of the results and from STARTS starts of k-means++.
"""

import json
import sys

import numpy as np
import pyarrow.parquet as pq
from sklearn.cluster import KMeans

from features import FEATURES, chunks, files, load


def labels_of(result, rows):
    """The segment of each customer; customers are numbered from 0."""
    labels = np.full(rows, -1, dtype=np.int16)
    for file in files(result):
        table = pq.read_table(file, columns=["customer_id", "segment"], partitioning=None)
        labels[table["customer_id"].to_numpy()] = table["segment"].to_numpy()
    if (labels < 0).any():
        sys.exit(f"{result}: {(labels < 0).sum()} of {rows} customers have no segment")
    return labels


def inertia(folder, every_labels, segments):
    """Of each labelling, inertia in double precision about its means, and the means."""
    squares = 0.0
    counts = np.zeros((len(every_labels), segments))
    sums = np.zeros((len(every_labels), segments, FEATURES))
    for customers, rows in chunks(folder):
        squares += (rows**2).sum()
        for at, labels in enumerate(every_labels):
            member = labels[customers][None, :] == np.arange(segments)[:, None]
            counts[at] += member.sum(axis=1)
            sums[at] += member.astype(np.float64) @ rows
    means = sums / np.maximum(counts, 1)[:, :, None]
    return squares - (counts[:, :, None] * means**2).sum(axis=(1, 2)), means


def main(folder, segments, starts, *results):
    segments = int(segments)
    customers, matrix = load(folder, 2)
    results = [labels_of(result, len(customers)) for result in results]
    found, means = inertia(folder, results, segments)
    inits = [means[np.argmin(found)].astype(np.float32)] + ["k-means++"] * int(starts)
    full = []
    for seed, init in enumerate(inits):
        model = KMeans(segments, init=init, n_init=1, max_iter=500, tol=1e-6, random_state=seed).fit(matrix)
        labels = np.empty(len(customers), dtype=np.int16)
        labels[customers] = model.labels_
        full.append(labels)
    lowest = inertia(folder, full, segments)[0]
    print(json.dumps([*found.tolist(), float(lowest.min())]))


main(*sys.argv[1:])
