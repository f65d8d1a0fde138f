-- Sources of which more rows than `max_rejected_share` were rejected: their shape has probably changed.
-- why: small tables and requests of anybody are not judged; a few odd rows are a large share there
with
totals as (
    select
        stage,
        sum(rows) filter (where action = 'kept') as kept,
        coalesce(sum(rows) filter (where action = 'rejected'), 0) as rejected
    from facts.row_counts
    where
        stage in (
            'staging.customers',
            'staging.products',
            'staging.orders',
            'staging.order_lines',
            'staging.logins',
            'facts.daily_activity',
            'staging.messages',
            'staging.social',
            'staging.texts',
            'staging.weather'
        )
    group by stage
)

select
    stage,
    kept,
    rejected
from totals
where cast(rejected as double) > $max_rejected_share * (kept + rejected)
