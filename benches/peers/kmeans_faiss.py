"""Passes of FAISS's k-means from given centroids, one thread: ROWS FEATURES SEGMENTS PASSES TIMES.

ROWS is a file of little-endian doubles: the rows, then the centroids.
"""

import json
import statistics
import sys
import time

import faiss
import numpy

rows, features, segments, passes, times = sys.argv[1], *map(int, sys.argv[2:])
values = numpy.fromfile(rows, dtype="<f8").astype("float32").reshape(-1, features)
points, centroids = numpy.ascontiguousarray(values[:-segments]), values[-segments:].copy()
faiss.omp_set_num_threads(1)
seconds = []
for _ in range(times):
    # every row is used, from the same centroids
    kmeans = faiss.Kmeans(features, segments, niter=passes, max_points_per_centroid=len(points))
    started = time.perf_counter()
    kmeans.train(points, init_centroids=centroids)
    seconds.append(time.perf_counter() - started)
distances, _ = kmeans.index.search(points, 1)
print(json.dumps({"seconds": statistics.median(seconds), "inertia": float(distances.sum(dtype="float64"))}))
