"""Features and segments of customers as the peers read and write them: Parquet, a file of rows at a time."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = 32


def files(folder):
    return sorted(Path(folder).glob("**/*.parquet"))


def chunks(folder):
    """Customers and features (rows x 32, double) of each file."""
    for file in files(folder):
        table = pq.read_table(file, partitioning=None)
        yield table["customer_id"].to_numpy(), np.stack([table[f"f{f:02}"].to_numpy() for f in range(FEATURES)], axis=1)


def load(folder, threads):
    """All customers and their features in single precision: read once and kept, which is fastest."""
    pa.set_cpu_count(threads)
    parts = [pq.ParquetFile(file) for file in files(folder)]
    rows = sum(part.metadata.num_rows for part in parts)
    customers, matrix, first = np.empty(rows, dtype=np.int64), np.empty((rows, FEATURES), dtype=np.float32), 0
    for part in parts:
        for group in range(part.num_row_groups):
            table = part.read_row_group(group)
            last = first + len(table)
            customers[first:last] = table["customer_id"].to_numpy()
            for f in range(FEATURES):
                matrix[first:last, f] = table[f"f{f:02}"].to_numpy()
            first = last
    return customers, matrix


def write(out, customers, segments):
    Path(out).mkdir(parents=True, exist_ok=True)
    table = pa.table({"customer_id": customers, "segment": segments.astype(np.int32)})
    pq.write_table(table, f"{out}/segments.parquet", compression="zstd")
