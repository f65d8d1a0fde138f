-- How many customers went from which segment to which between an earlier run and this one, family by family, to the last one.
-- grain: from_as_of, family, from_segment, to_segment
-- store: table
-- publish: none
-- why: rows of one pair of runs and family sum to all customers of either run: who came has no segment before, who left none
--    after. The latest `migration_runs` earlier runs are compared; any other pair is a query on `segment_membership`
with
earlier_runs as (
    select distinct as_of
    from customer_360
    where as_of < $as_of
),

ranked_runs as (
    select
        as_of,
        row_number() over (order by as_of desc) as place
    from earlier_runs
),

compared_runs as (
    select as_of
    from ranked_runs
    where place <= $migration_runs
),

flows as (
    select
        h.as_of as from_as_of,
        h.family,
        h.segment as from_segment,
        h.segment_name as from_name,
        m.segment as to_segment,
        m.segment_name as to_name,
        count(*) as customers
    from segments.family_history as h
    inner join compared_runs as r on h.as_of = r.as_of
    left join segments.family_members as m on h.customer_id = m.customer_id and h.family = m.family
    where h.as_of < $as_of
    group by h.as_of, h.family, h.segment, h.segment_name, m.segment, m.segment_name
),

sizes as (
    select
        family,
        segment,
        segment_name,
        count(*) as customers
    from segments.family_members
    group by family, segment, segment_name
),

-- Who came is who is there now, less who was there before: each flow counts for its own row and against that of those who came.
counts as (
    select
        from_as_of,
        family,
        to_segment,
        to_name,
        unnest(
            make_array(
                named_struct('segment', from_segment, 'name', from_name, 'customers', customers),
                named_struct(
                    'segment', null,
                    'name', null,
                    'customers', case when to_segment is not null then -customers end
                )
            )
        ) as origin
    from flows
),

signed as (
    select
        from_as_of,
        family,
        origin['segment'] as from_segment,
        origin['name'] as from_name,
        to_segment,
        to_name,
        origin['customers'] as customers
    from counts
    where origin['customers'] is not null
    union all
    select
        r.as_of as from_as_of,
        s.family,
        cast(null as varchar) as from_segment,
        cast(null as varchar) as from_name,
        s.segment as to_segment,
        s.segment_name as to_name,
        s.customers
    from compared_runs as r
    cross join sizes as s
)

select
    from_as_of,
    family,
    case
        when from_segment is null then 'came'
        when to_segment is null then 'left'
        when from_segment = to_segment then 'stayed'
        else 'moved'
    end as change,
    from_segment,
    from_name,
    to_segment,
    to_name,
    cast(sum(customers) as bigint) as customers
from signed
group by from_as_of, family, from_segment, from_name, to_segment, to_name
having sum(customers) > 0
