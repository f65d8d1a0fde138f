"""Whether two results of the job are equal: features to 1e-9, inertia within 1 %. OURS THEIRS (folders of Parquet)."""

import json
import sys

import duckdb
import numpy as np

from common import inertia, scaled

KEY = {"account_id", "segment"}


def rows(folder):
    table = duckdb.sql(f"select * from read_parquet('{folder}/**/*.parquet', hive_partitioning = true) order by account_id")
    return {name: column for name, column in zip(table.columns, map(np.array, table.fetchnumpy().values()))}


def main(ours, theirs):
    a, b = rows(ours), rows(theirs)
    problems = []
    if list(a["account_id"]) != list(b["account_id"]):
        problems.append(f"{len(a['account_id'])} accounts, not {len(b['account_id'])}, or others")
    for name in sorted(set(b) - KEY) if not problems else []:
        x, y = a[name].astype(float), b[name].astype(float)
        off = np.abs(x - y) > 1e-9 * np.maximum(1, np.abs(x))
        if off.any():
            at = int(np.argmax(off))
            problems.append(f"{name}: {off.sum()} differ, first {a['account_id'][at]}: {x[at]!r} and {y[at]!r}")
    result = {"accounts": len(a["account_id"]), "features": len(set(b) - KEY)}
    if not problems:
        matrix = scaled(a)
        mine, other = inertia(matrix, a["segment"]), inertia(matrix, b["segment"])
        result["inertia"] = {"strata": mine, "peer": other, "ratio": mine / other}
        if mine > 1.01 * other:
            problems.append(f"inertia {mine}, the peer's is {other}")
    print(json.dumps(result))
    if problems:
        sys.exit("\n".join(problems))


main(*sys.argv[1:])
