"""Sessions, funnels and paths of the clickstream `ecom`, counted by SQL of its own and compared with what Strata published.

Arguments: the CSV file, a folder with sessions.parquet, funnels.parquet, top_paths.parquet and week_hours.parquet."""
import sys

import duckdb

clicks, tables = sys.argv[1:]
duckdb.sql(f"""create table clicks as
select
    user_id,
    timestamp as happened,
    case event when 'search' then 's' when 'add_to_cart' then 'c' when 'purchase' then 'o' else 'v' end as letter
from read_csv('{clicks}')""")
duckdb.sql("""create table numbered as
with gaps as (
    select *, happened - lag(happened) over (partition by user_id order by happened, strpos('lsvco', letter)) as gap,
        letter is distinct from lag(letter) over (partition by user_id order by happened, strpos('lsvco', letter)) as other
    from clicks
),
starts as (select *, coalesce(gap >= interval 30 minutes, true) as starts from gaps)
select *, sum(starts::int) over (partition by user_id order by happened, strpos('lsvco', letter) rows unbounded preceding) as session
from starts""")
duckdb.sql("""create table sessions as
select user_id, session, min(happened) as started_at, max(happened) as ended_at, count(*) as steps,
    string_agg(letter, '' order by happened, strpos('lsvco', letter)) filter (where other or starts) as path
from numbered
group by all""")


def same(what, ours, theirs):
    """Both ways round, duplicates counted."""
    for left, right in ((ours, theirs), (theirs, ours)):
        left_over = duckdb.sql(f"({left}) except all ({right})").fetchall()
        assert not left_over, f"{what}: {len(left_over)} rows such as {left_over[:3]}"


same(
    "sessions",
    f"select device_id, started_at, ended_at, steps, path from '{tables}/features.sessions.parquet'",
    "select user_id, started_at, ended_at, steps, path from sessions",
)
FUNNELS = {
    "purchase": ["v", "v.*c", "v.*c.*o"],
    "search": ["s", "s.*v", "s.*v.*c", "s.*v.*c.*o"],
    "any order": ["v", "(v.*c|c.*v)"],
    "strict": ["v", "vc", "vco"],
}
counted = " union all ".join(
    f"select '{funnel}' as funnel, {step} as step, count(*) as sessions from sessions where regexp_matches(path, '{pattern}')"
    for funnel, patterns in FUNNELS.items()
    for step, pattern in enumerate(patterns, 1)
)
same("funnels", f"select funnel, step, sessions from '{tables}/funnels.parquet'", counted)
same(
    "paths",
    f"select place, path, sessions from '{tables}/top_paths.parquet'",
    """select row_number() over (order by sessions desc, path) as place, path, sessions
    from (select path[:12] as path, count(*) as sessions from sessions group by 1 having count(*) >= 10)
    qualify place <= 100""",
)
same(
    "hours",
    f"select weekday, hour, sessions from '{tables}/week_hours.parquet'",
    "select isodow(started_at), hour(started_at), count(*) from sessions group by all",
)
print(duckdb.sql("select count(*) from sessions").fetchall()[0][0], "sessions")
