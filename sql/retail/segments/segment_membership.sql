-- From when to when each customer was in a segment of a family, over all runs there have been.
-- grain: customer_id, family, valid_from
-- store: table
-- publish: all
-- why: a stay lasts from the first run that saw it to the first run that did not; `valid_to` is NULL while it lasts
with
observed as (
    select customer_id, as_of, 'behaviour' as family, cast(segment as varchar) as segment, segment_name
    from segments
    union all
    select customer_id, as_of, 'behaviour' as family, cast(segment as varchar) as segment, segment_name
    from segments.segments
    union all
    select customer_id, as_of, 'rfm' as family, rfm_type as segment, rfm_type as segment_name
    from customer_360
    where rfm_type is not null
    union all
    select customer_id, as_of, 'rfm' as family, rfm_type as segment, rfm_type as segment_name
    from segments.customer_360
    where rfm_type is not null
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

-- Consecutive runs in the same segment share the difference of the two row numbers.
numbered as (
    select
        o.customer_id,
        o.family,
        o.segment,
        o.segment_name,
        o.as_of,
        r.run,
        r.run - row_number() over (
            partition by o.customer_id, o.family, o.segment
            order by o.as_of
        ) as stay
    from observed as o
    inner join runs as r on o.family = r.family and o.as_of = r.as_of
),

stays as (
    select
        customer_id,
        family,
        segment,
        first_value(segment_name order by as_of) as segment_name,
        min(as_of) as valid_from,
        max(run) as last_run
    from numbered
    group by customer_id, family, segment, stay
),

ended as (
    select
        s.customer_id,
        s.family,
        s.segment,
        s.segment_name,
        s.valid_from,
        n.as_of as valid_to
    from stays as s
    left join runs as n on s.family = n.family and s.last_run + 1 = n.run
),

followed as (
    select
        customer_id,
        family,
        segment,
        segment_name,
        valid_from,
        valid_to,
        lag(segment_name) over (partition by customer_id, family order by valid_from) as name_before,
        lag(valid_to) over (partition by customer_id, family order by valid_from) as end_before
    from ended
)

select
    customer_id,
    family,
    segment,
    segment_name,
    valid_from,
    valid_to,
    case
        when name_before is null then 'first seen'
        when end_before < valid_from then 'back after absence from: ' || name_before
        else 'moved from: ' || name_before
    end as reason
from followed
