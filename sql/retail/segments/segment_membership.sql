-- From when to when each customer was in a segment of a family, over all runs there have been.
-- grain: customer_id, family, valid_from
-- store: table
-- publish: all
-- why: a stay lasts from the first run that saw it to the first run that did not; `valid_to` is NULL while it lasts
with
observed as (
    select
        customer_id,
        as_of,
        family,
        segment,
        segment_name
    from segments.family_history
),

run_times as (
    select distinct family, as_of
    from observed
),

runs as (
    select
        family,
        as_of,
        row_number() over (partition by family order by as_of) as run
    from run_times
),

-- Customers are dealt to 64 lots, since a window for each would cost many times more.
dealt as (
    select
        cast(row_hash(o.customer_id) % 64 as int) as lot,
        o.customer_id,
        o.family,
        o.segment,
        o.segment_name,
        o.as_of,
        r.run
    from runs as r
    inner join observed as o on r.family = o.family and r.as_of = o.as_of
),

followed as (
    select
        lot,
        customer_id,
        family,
        segment,
        segment_name,
        as_of,
        run,
        lag(customer_id) over in_lot as customer_before,
        lag(family) over in_lot as family_before,
        lag(segment) over in_lot as segment_before,
        lag(segment_name) over in_lot as name_before,
        lag(run) over in_lot as run_before
    from dealt
    window in_lot as (partition by lot order by customer_id, family, as_of)
),

judged as (
    select
        lot,
        customer_id,
        family,
        segment,
        segment_name,
        as_of,
        run,
        case
            when (customer_before is distinct from customer_id) or (family_before is distinct from family)
                then 'first seen'
            when run_before < run - 1 then 'back after absence from: ' || name_before
            when segment_before <> segment then 'moved from: ' || name_before
        end as reason
    from followed
),

-- Rows from one reason to the next are one stay.
stayed as (
    select
        customer_id,
        family,
        segment,
        segment_name,
        as_of,
        run,
        reason,
        count(reason) over (
            partition by lot
            order by customer_id, family, as_of
            rows between unbounded preceding and current row
        ) as stay
    from judged
),

stays as (
    select
        customer_id,
        family,
        segment,
        max(case when reason is not null then segment_name end) as segment_name,
        min(as_of) as valid_from,
        max(run) as last_run,
        max(reason) as reason
    from stayed
    group by customer_id, family, segment, stay
)

select
    s.customer_id,
    s.family,
    s.segment,
    s.segment_name,
    s.valid_from,
    n.as_of as valid_to,
    s.reason
from runs as n
right join stays as s on n.family = s.family and n.run = s.last_run + 1
