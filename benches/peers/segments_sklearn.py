"""Segments by scikit-learn, learned on a sample: FEATURES OUT SEGMENTS SAMPLE STARTS THREADS MEMORY."""

import os
import sys
import time

started = time.perf_counter()
for library in ["OMP", "OPENBLAS"]:
    os.environ[f"{library}_NUM_THREADS"] = sys.argv[6]

import numpy as np  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402

from features import load, write  # noqa: E402
from phases import Phases  # noqa: E402


def main(folder, out, segments, sample, starts, threads, _memory):
    phases = Phases("scikit-learn", started)
    customers, matrix = load(folder, int(threads))
    phases.done("read")
    rows = matrix
    if len(matrix) > int(sample):
        rows = matrix[np.random.default_rng(7).choice(len(matrix), int(sample), replace=False)]
    model = KMeans(n_clusters=int(segments), n_init=int(starts), random_state=7).fit(rows)
    phases.done("learn")
    labels = model.predict(matrix)
    phases.done("assign")
    write(out, customers, labels)
    phases.done("write")
    phases.report()


main(*sys.argv[1:])
