"""Segments by MLlib, learned on all rows from its one start: FEATURES OUT SEGMENTS SAMPLE STARTS THREADS MEMORY."""

import sys
import time

started = time.perf_counter()

from pyspark.ml.clustering import KMeans  # noqa: E402
from pyspark.ml.feature import VectorAssembler  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402

from phases import Phases  # noqa: E402

FEATURES = 32


def main(folder, out, segments, _sample, _starts, threads, memory):
    spark = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.driver.memory", memory.lower().replace("ib", ""))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    phases = Phases("MLlib", started)
    names = [f"f{f:02}" for f in range(FEATURES)]
    vectors = VectorAssembler(inputCols=names, outputCol="features").transform(spark.read.parquet(folder))
    vectors = vectors.select("customer_id", "features").cache()
    vectors.count()
    phases.done("read")
    # k-means||, at most 20 steps, as it is
    model = KMeans(k=int(segments), seed=7).fit(vectors)
    phases.done("learn")
    segmented = model.transform(vectors).select("customer_id", "prediction").withColumnRenamed("prediction", "segment")
    segmented.write.mode("overwrite").option("compression", "zstd").parquet(out)
    phases.done("assign and write")
    phases.report()
    spark.stop()


main(*sys.argv[1:])
