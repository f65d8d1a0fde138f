-- As of which run the numbers of each segment of each family, and of all customers ('everyone'), are published.
-- grain: as_of, family, segment
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), family varchar, segment varchar, counted_as_of timestamp(6), run_id varchar
-- why: from two sums or means somebody could subtract what one customer adds. So a segment is counted again only if, since each of its
--    latest `portrait_versions` counts, nobody or at least `portrait_min_cell` customers have come or left, at least so
--    many have come, left or bought, and nobody or at least so many have come, left or been active; else an earlier count
--    stands in, or none: NULL, where it is near to the count of a later day only. Who only got another id by a new key of
--    pseudonyms has neither come nor left: ids are followed over the latest four changes of the key
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
        v.days,
        m.customer_id,
        m.valid_from <= v.as_of and (m.valid_to is null or m.valid_to > v.as_of) as was_there,
        m.valid_from <= $as_of and (m.valid_to is null or m.valid_to > $as_of) as is_there
    from segments.segment_membership as m
    inner join versions as v on m.family = v.family and m.segment = v.segment
),

aliases as (
    select
        as_of,
        former_id,
        customer_id,
        accounts
    from person_aliases
    where change = 'renamed'
    union all
    select
        as_of,
        former_id,
        customer_id,
        accounts
    from segments.person_aliases
    where change = 'renamed'
),

ranked_aliases as (
    select
        former_id,
        customer_id,
        row_number() over (partition by former_id order by as_of desc, accounts desc, customer_id) as place
    from aliases
),

-- Each former id with the id that most of its accounts got at its latest change of the key.
renamed as (
    select
        r.former_id,
        r.customer_id
    from ranked_aliases as r
    left join customers as c on r.former_id = c.customer_id
    where r.place = 1 and c.customer_id is null
),

-- The same over two changes of the key, and over four.
renamed_twice as (
    select
        r.former_id,
        coalesce(n.customer_id, r.customer_id) as customer_id
    from renamed as r
    left join renamed as n on r.customer_id = n.former_id
),

names as (
    select
        r.former_id,
        coalesce(n.customer_id, r.customer_id) as customer_id
    from renamed_twice as r
    left join renamed_twice as n on r.customer_id = n.former_id
),

-- Stays of who came or left, and all customers as of each count and now.
moves as (
    select
        family,
        segment,
        as_of,
        days,
        customer_id
    from presences
    where was_there <> is_there
    union all
    select
        v.family,
        v.segment,
        v.as_of,
        v.days,
        h.customer_id
    from versions as v
    inner join customer_360 as h on v.as_of = h.as_of
    where v.family = 'everyone'
    union all
    select
        v.family,
        v.segment,
        v.as_of,
        v.days,
        c.customer_id
    from versions as v
    cross join customers as c
    where v.family = 'everyone'
),

-- Who was there then and is there now under another id, or after an absence, has two rows of `moves`.
compared as (
    select
        family,
        segment,
        as_of,
        days,
        customer_id,
        false as has_turned
    from presences
    where was_there and is_there
    union all
    select
        m.family,
        m.segment,
        m.as_of,
        m.days,
        coalesce(n.customer_id, m.customer_id) as customer_id,
        count(*) <> 2 as has_turned
    from names as n
    right join moves as m on n.former_id = m.customer_id
    group by m.family, m.segment, m.as_of, m.days, coalesce(n.customer_id, m.customer_id)
),

changes as (
    select
        m.family,
        m.segment,
        m.as_of,
        count(*) filter (where m.has_turned) as turned,
        count(*) filter (where not m.has_turned and c.recency_days < m.days) as bought,
        count(*) filter (where not m.has_turned and c.last_active_days < m.days) as active
    from customers as c
    right join compared as m on c.customer_id = m.customer_id
    group by m.family, m.segment, m.as_of
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
