"""The job in Polars and scikit-learn: RAW OUT AS_OF THREADS MEMORY."""

import os
import shutil
import sys
import time

started = time.perf_counter()
os.environ["POLARS_MAX_THREADS"] = sys.argv[4]

from datetime import datetime, timedelta  # noqa: E402

import polars as pl  # noqa: E402

from common import day_of, segments  # noqa: E402
from phases import Phases  # noqa: E402

DUPLICATE = ["event_date", "event_id"]
FIRST = ["ingested_at", "event_time", "account_id", "event_type", "product_id", "dwell_ms"]


def scan(raw, name, as_of):
    table = pl.scan_parquet(f"{raw}/{name}/*/*.parquet", hive_partitioning=True, try_parse_hive_dates=True)
    return table.filter((pl.col("ingested_at") < as_of) | pl.col("ingested_at").is_null())


def events(raw, as_of):
    kinds = ["view", "search", "cart", "dwell", "login"]
    missing = pl.any_horizontal(pl.col("event_id", "device_id", "event_time").is_null())
    broken = (
        pl.when(missing)
        .then(pl.lit("missing_key"))
        .when(pl.col("event_time") > pl.col("ingested_at"))
        .then(pl.lit("future_event"))
        .when(pl.col("ingested_at") - pl.col("event_time") > timedelta(days=7))
        .then(pl.lit("too_late_event"))
        .when(pl.col("event_type").is_null() | ~pl.col("event_type").is_in(kinds))
        .then(pl.lit("unknown_event_type"))
    )
    columns = ["event_id", "account_id", "event_type", "product_id", "dwell_ms", "event_time", "ingested_at", "event_date"]
    return scan(raw, "events", as_of).select(*columns, rule=broken)


def with_rules(judged):
    """Only keys that stand twice are numbered: sorting all events takes several times as long."""
    copies = judged.group_by(DUPLICATE).len().filter(pl.col("len") > 1).select(DUPLICATE).collect(engine="streaming").lazy()
    once = judged.join(copies, on=DUPLICATE, how="anti", nulls_equal=True)
    several = judged.join(copies, on=DUPLICATE, how="semi", nulls_equal=True)
    several = several.sort(pl.col("rule").is_not_null(), *FIRST, nulls_last=True)
    copy = pl.int_range(pl.len()).over(DUPLICATE)
    duplicate = pl.when(pl.col("rule").is_null() & (copy > 0)).then(pl.lit("duplicate_event")).otherwise(pl.col("rule"))
    return pl.concat([once, several.with_columns(rule=duplicate)])


def days(ruled):
    event = pl.col("event_type")
    dwell = pl.col("dwell_ms")
    hour = (pl.col("event_time") + timedelta(hours=8)).dt.hour().cast(pl.Int64)
    account = pl.col("account_id").str.strip_chars()
    keys = {
        "event_date": pl.col("event_date"),
        "account_id": pl.when(account != "").then(account),
        "rejected_event_id": pl.when(pl.col("rule").is_not_null()).then(pl.col("event_id")),
        "rule": pl.col("rule"),
    }
    return ruled.group_by(**keys).agg(
        events=pl.len(),
        views=(event == "view").sum(),
        searches=(event == "search").sum(),
        carts=(event == "cart").sum(),
        dwell_ms=dwell.filter(dwell.is_between(0, 3_600_000)).sum().cast(pl.Int64),
        hours=pl.lit(2, pl.Int64).pow(hour).cast(pl.Int64).bitwise_or(),
        first_event_at=pl.col("event_time").min(),
        last_event_at=pl.col("event_time").max(),
        products=pl.col("product_id").filter((event == "view") & pl.col("product_id").is_not_null()).unique(),
    )


def lines(raw, as_of):
    orders = scan(raw, "orders", as_of).filter(pl.col("order_id").is_not_null() & pl.col("account_id").is_not_null())
    orders = orders.select("order_id", "account_id", "status", "order_date", "ingested_at")
    orders = orders.sort("ingested_at", "account_id", "status", nulls_last=True)
    orders = orders.unique(["order_date", "order_id"], keep="first")
    items = scan(raw, "order_items", as_of).filter(
        pl.col("order_id").is_not_null()
        & pl.col("line_no").is_not_null()
        & pl.col("quantity").is_between(1, 200)
        & pl.col("unit_price").is_between(0, 1_000_000)
    )
    items = items.sort("ingested_at", "product_id", "quantity", "unit_price", nulls_last=True)
    items = items.unique(["order_date", "order_id", "line_no"], keep="first")
    joined = items.join(orders, on=["order_date", "order_id"])
    joined = joined.filter(pl.col("status").str.strip_chars().str.to_lowercase() != "cancelled")
    # cents are exact in 64 bits
    cents = (pl.col("unit_price") * 100).round().cast(pl.Int64) * pl.col("quantity")
    return joined.select("order_date", "order_id", "account_id", "product_id", "quantity", cents=cents)


def features(days, lines, day):
    good = days.filter(pl.col("rule").is_null() & pl.col("account_id").is_not_null())
    date_of = pl.col("event_date")
    activity = good.group_by("account_id").agg(
        last_active_on=date_of.max(),
        active_days=pl.len(),
        events=pl.col("events").sum(),
        views=pl.col("views").sum(),
        searches=pl.col("searches").sum(),
        carts=pl.col("carts").sum(),
        dwell_ms=pl.col("dwell_ms").sum(),
        evening_days=((pl.col("hours") & 16_515_072) > 0).sum(),
        weekend_days=(date_of.dt.weekday() >= 6).sum(),
        active_days_90=((pl.lit(day) - date_of) <= timedelta(days=90)).sum(),
    )
    viewed = good.select("account_id", "products").explode("products", empty_as_null=False)
    viewed = viewed.unique().group_by("account_id").agg(viewed_products=pl.len())
    bought = lines.group_by("account_id").agg(
        orders=pl.struct("order_date", "order_id").n_unique(),
        purchase_days=pl.col("order_date").n_unique(),
        last_order_on=pl.col("order_date").max(),
        bought_products=pl.col("product_id").n_unique(),
        items=pl.col("quantity").sum().cast(pl.Int64),
        gross=pl.col("cents").sum() / 100,
    )
    joined = activity.join(viewed, on="account_id", how="left").join(bought, on="account_id", how="full", coalesce=True)
    last = pl.max_horizontal("last_active_on", "last_order_on")
    counts = pl.all().exclude("account_id", "last_active_on", "last_order_on").fill_null(0)

    def share(a, b):
        return pl.when(pl.col(b) > 0).then(pl.col(a) / pl.col(b)).otherwise(0.0)

    return joined.with_columns(counts).select(
        "account_id",
        (pl.lit(day) - last).dt.total_days().fill_null(400).alias("recency_days"),
        *["active_days", "events", "views", "searches", "carts", "dwell_ms", "viewed_products", "orders"],
        *["purchase_days", "bought_products", "items", "gross"],
        views_per_active_day=share("views", "active_days"),
        evening_share=share("evening_days", "active_days"),
        weekend_share=share("weekend_days", "active_days"),
        recent_share=share("active_days_90", "active_days"),
        avg_order_value=share("gross", "orders"),
    )


def main(raw, out, as_of, _threads, _memory):
    shutil.rmtree(out, ignore_errors=True)
    day, as_of = day_of(as_of), datetime.fromisoformat(as_of)
    phases = Phases("Polars + scikit-learn", started)
    facts = days(with_rules(events(raw, as_of))).collect(engine="streaming")
    facts.write_parquet(f"{out}.facts.parquet", compression="zstd")
    phases.done("facts")
    table = features(facts.lazy(), lines(raw, as_of), day).sort("account_id").collect(engine="streaming")
    phases.done("features")
    labels = segments({name: table[name].to_numpy() for name in table.columns if name != "account_id"})
    phases.done("k-means")
    table = table.with_columns(segment=pl.Series(labels.astype("int32")))
    table.write_parquet(pl.PartitionBy(out, key="segment", include_key=False), mkdir=True, compression="zstd")
    phases.done("write")
    phases.report()


main(*sys.argv[1:])
