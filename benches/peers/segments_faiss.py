"""Segments by FAISS, which takes a sample itself: FEATURES OUT SEGMENTS SAMPLE STARTS THREADS MEMORY.

With a SAMPLE of 0 everything is left as FAISS has it: 256 rows a segment, one start.
"""

import sys
import time

started = time.perf_counter()

import faiss  # noqa: E402

from features import FEATURES, load, write  # noqa: E402
from phases import Phases  # noqa: E402


def main(folder, out, segments, sample, starts, threads, _memory):
    faiss.omp_set_num_threads(int(threads))
    phases = Phases("FAISS", started)
    customers, matrix = load(folder, int(threads))
    phases.done("read")
    settings = {}
    if int(sample) > 0:
        settings = {"max_points_per_centroid": int(sample) // int(segments), "nredo": int(starts)}
    model = faiss.Kmeans(FEATURES, int(segments), seed=7, **settings)
    model.train(matrix)
    phases.done("learn")
    _, labels = model.index.search(matrix, 1)
    phases.done("assign")
    write(out, customers, labels[:, 0])
    phases.done("write")
    phases.report()


main(*sys.argv[1:])
