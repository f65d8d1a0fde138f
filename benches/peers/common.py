"""What the peers share: the clustering step by scikit-learn."""

from datetime import datetime, timedelta

import numpy as np
from sklearn.cluster import KMeans

# The vector of an account; those in LOGGED enter as log1p.
VECTOR = [
    "recency_days",
    "active_days",
    "views_per_active_day",
    "viewed_products",
    "evening_share",
    "weekend_share",
    "recent_share",
    "orders",
    "bought_products",
    "avg_order_value",
]
LOGGED = {"active_days", "views_per_active_day", "viewed_products", "orders", "bought_products", "avg_order_value"}
SEGMENTS = 8
STARTS = 16
SAMPLE = 262_144

# The end of the features in SQL, as DuckDB and Spark both read it: of `j`, which joins what accounts did and bought.
COUNTS = [
    "active_days", "events", "views", "searches", "carts", "dwell_ms", "evening_days", "weekend_days",
    "active_days_90", "viewed_products", "orders", "purchase_days", "bought_products", "items", "gross",
]  # fmt: skip
COUNTS_OR_ZERO = ", ".join(f"coalesce({name}, 0) as {name}" for name in COUNTS)
FEATURES_OF_COUNTS = """
    active_days, events, views, searches, carts, dwell_ms, viewed_products, orders, purchase_days, bought_products,
    items, gross,
    coalesce(cast(views as double) / nullif(active_days, 0), 0) as views_per_active_day,
    coalesce(cast(evening_days as double) / nullif(active_days, 0), 0) as evening_share,
    coalesce(cast(weekend_days as double) / nullif(active_days, 0), 0) as weekend_share,
    coalesce(cast(active_days_90 as double) / nullif(active_days, 0), 0) as recent_share,
    coalesce(cast(gross as double) / nullif(orders, 0), 0) as avg_order_value
"""


def day_of(as_of):
    """The calendar day of an instant (UTC, `YYYY-MM-DD HH:MM:SS`) in Asia/Shanghai."""
    return (datetime.fromisoformat(as_of) + timedelta(hours=8)).date()


def scaled(columns):
    """The matrix (accounts x 10): log1p where VECTOR says so, then mean 0 and variance 1."""
    matrix = np.empty((len(columns[VECTOR[0]]), len(VECTOR)))
    for at, name in enumerate(VECTOR):
        values = np.asarray(columns[name], dtype=np.float64)
        matrix[:, at] = np.log1p(values) if name in LOGGED else values
    matrix -= matrix.mean(axis=0)
    matrix /= matrix.std(axis=0)
    return matrix


def inertia(matrix, labels):
    """Sum of squared distances to the mean of each label's rows."""
    total = 0.0
    for label in np.unique(labels):
        rows = matrix[labels == label]
        total += ((rows - rows.mean(axis=0)) ** 2).sum()
    return float(total)


def segments(columns):
    """Labels by k-means: learned on a sample from several starts, then three steps over all rows."""
    matrix = scaled(columns)
    rows = len(matrix)
    sample = matrix
    if rows > SAMPLE:
        sample = matrix[np.random.default_rng(7).choice(rows, SAMPLE, replace=False)]
    model = KMeans(n_clusters=SEGMENTS, n_init=STARTS, random_state=7).fit(sample)
    if rows > SAMPLE:
        model = KMeans(SEGMENTS, init=model.cluster_centers_, n_init=1, max_iter=3, tol=0).fit(matrix)
    return model.predict(matrix)
