-- As of which run the numbers of each segment of each family, and of all customers ('everyone'), are published.
-- grain: as_of, family, segment
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), family varchar, segment varchar, counted_as_of timestamp(6), run_id varchar
-- why: from two sums or means somebody could subtract what one customer adds. So a segment is counted again only if, since each of its
--    latest `portrait_versions` counts, nobody or at least `portrait_min_cell` customers have come or left, at least so
--    many have come, left or bought, and nobody or at least so many have come, left or been active; else an earlier count
--    stands in, or none: NULL, where it is near to the count of a later day only
with
earlier as (
    select
        family,
        segment,
        as_of,
        row_number() over (partition by family, segment order by as_of desc) as place
    from segment_releases
    where counted_as_of = as_of
),

-- The last whole day before the count: who bought or was active on a later day has changed since.
versions as (
    select
        family,
        segment,
        as_of,
        cast(local_date($as_of, $time_zone) - local_date(as_of - interval '1 microsecond', $time_zone) as int) as days
    from earlier
    where place <= $portrait_versions
),

customers as (
    select
        customer_id,
        recency_days,
        last_active_days
    from segments.customer_360
),

presences as (
    select
        v.family,
        v.segment,
        v.as_of,
        m.customer_id,
        m.valid_from <= v.as_of and (m.valid_to is null or m.valid_to > v.as_of) as was_there,
        m.valid_from <= $as_of and (m.valid_to is null or m.valid_to > $as_of) as is_there
    from segments.segment_membership as m
    inner join versions as v on m.family = v.family and m.segment = v.segment
),

-- A customer who left and came back has two stays.
turned as (
    select
        family,
        segment,
        as_of,
        customer_id
    from presences
    where was_there <> is_there
    group by family, segment, as_of, customer_id
    having count(*) % 2 = 1
),

stayed as (
    select
        p.family,
        p.segment,
        p.as_of,
        count(*) filter (where c.recency_days < v.days) as bought,
        count(*) filter (where c.last_active_days < v.days) as active
    from presences as p
    inner join versions as v on p.family = v.family and p.segment = v.segment and p.as_of = v.as_of
    inner join customers as c on p.customer_id = c.customer_id
    where p.was_there and p.is_there
    group by p.family, p.segment, p.as_of
),

-- All customers, as of each count and now.
counted as (
    select
        v.as_of,
        h.customer_id,
        true as was_there,
        false as is_there,
        v.days
    from versions as v
    inner join customer_360 as h on v.as_of = h.as_of
    where v.family = 'everyone'
    union all
    select
        v.as_of,
        c.customer_id,
        false as was_there,
        true as is_there,
        v.days
    from versions as v
    cross join customers as c
    where v.family = 'everyone'
),

everybody as (
    select
        as_of,
        customer_id,
        bool_or(was_there) as was_there,
        bool_or(is_there) as is_there,
        max(days) as days
    from counted
    group by as_of, customer_id
),

changes as (
    select
        'everyone' as family,
        'everyone' as segment,
        e.as_of,
        count(*) filter (where e.was_there <> e.is_there) as turned,
        count(*) filter (where e.was_there and e.is_there and c.recency_days < e.days) as bought,
        count(*) filter (where e.was_there and e.is_there and c.last_active_days < e.days) as active
    from everybody as e
    left join customers as c on e.customer_id = c.customer_id
    group by e.as_of
    union all
    select
        v.family,
        v.segment,
        v.as_of,
        coalesce(max(t.customers), 0) as turned,
        coalesce(max(s.bought), 0) as bought,
        coalesce(max(s.active), 0) as active
    from versions as v
    left join (
        select
            family,
            segment,
            as_of,
            count(*) as customers
        from turned
        group by family, segment, as_of
    ) as t on v.family = t.family and v.segment = t.segment and v.as_of = t.as_of
    left join stayed as s on v.family = s.family and v.segment = s.segment and v.as_of = s.as_of
    where v.family <> 'everyone'
    group by v.family, v.segment, v.as_of
),

near as (
    select
        family,
        segment,
        max(as_of) filter (where as_of < $as_of) as counted_as_of
    from changes
    where
        turned between 1 and $portrait_min_cell - 1
        or turned + bought < $portrait_min_cell
        or turned + active between 1 and $portrait_min_cell - 1
    group by family, segment
)

select
    $as_of as as_of,
    coalesce(g.family, 'everyone') as family,
    coalesce(g.segment, 'everyone') as segment,
    case when n.family is null then $as_of else n.counted_as_of end as counted_as_of,
    $run_id as run_id
from portraits.groups as g
left join near as n on coalesce(g.family, 'everyone') = n.family and coalesce(g.segment, 'everyone') = n.segment
