-- What became of each segment of each family between the run before and this one: continued, renewed, split,
--    merged, born or died.
-- grain: as_of, family, segment
-- store: table
-- publish: as_of
-- why: a segment is the same when its id is: `continued` with some of its members, `renewed` with none of
--    them. Of a new one, `split` from the segment that most of its members were in if it has at least half of
--    those who were there before, and they are at least half of the new segment; else `born`. A vanished one
--    is `merged` into the segment that most of its members went to, by the same rule; else `died`.
--    `other_segment` is the one meant by split and merged, the nearest one for born and died. An overlap that
--    `segment_migration` leaves out is NULL
with
latest as (
    select max(from_as_of) as from_as_of
    from segments.segment_flows
),

flows as (
    select
        m.family,
        m.from_segment,
        m.from_name,
        m.to_segment,
        m.to_name,
        m.customers
    from segments.segment_flows as m
    inner join latest as l on m.from_as_of = l.from_as_of
),

-- `of_both_runs` are those who were there before and are there now.
before as (
    select
        family,
        from_segment as segment,
        from_name as segment_name,
        sum(customers) as customers,
        coalesce(sum(customers) filter (where to_segment is not null), 0) as of_both_runs
    from flows
    where from_segment is not null
    group by family, from_segment, from_name
),

now as (
    select
        family,
        to_segment as segment,
        to_name as segment_name,
        sum(customers) as customers,
        coalesce(sum(customers) filter (where from_segment is not null), 0) as of_both_runs
    from flows
    where to_segment is not null
    group by family, to_segment, to_name
),

-- Where most of a segment's members came from, and where most of them went.
parents as (
    select
        family,
        to_segment as segment,
        from_segment as other_segment,
        from_name as other_name,
        customers as overlap,
        row_number() over (
            partition by family, to_segment
            order by customers desc, from_segment, from_name
        ) as place
    from flows
    where from_segment is not null and to_segment is not null
),

heirs as (
    select
        family,
        from_segment as segment,
        to_segment as other_segment,
        to_name as other_name,
        customers as overlap,
        row_number() over (
            partition by family, from_segment
            order by customers desc, to_segment, to_name
        ) as place
    from flows
    where from_segment is not null and to_segment is not null
),

continued as (
    select
        b.family,
        b.segment,
        n.segment_name,
        b.customers as customers_before,
        n.customers as customers_now,
        case when f.customers > 0 then 'continued' else 'renewed' end as status,
        cast(null as varchar) as other_segment,
        cast(null as varchar) as other_name,
        coalesce(f.customers, 0) as overlap,
        b.of_both_runs,
        b.customers + n.customers as customers_of_two
    from before as b
    inner join now as n on b.family = n.family and b.segment = n.segment
    left join flows as f
        on b.family = f.family and b.segment = f.from_segment and n.segment = f.to_segment
),

appeared as (
    select
        n.family,
        n.segment,
        n.segment_name,
        cast(null as bigint) as customers_before,
        n.customers as customers_now,
        p.overlap * 2 >= n.of_both_runs and n.of_both_runs * 2 >= n.customers as is_related,
        p.other_segment,
        p.other_name,
        p.overlap,
        n.of_both_runs,
        o.customers + n.customers as customers_of_two
    from now as n
    left join before as b on n.family = b.family and n.segment = b.segment
    left join parents as p on n.family = p.family and n.segment = p.segment and p.place = 1
    left join before as o on p.family = o.family and p.other_segment = o.segment
    where b.segment is null
),

vanished as (
    select
        b.family,
        b.segment,
        b.segment_name,
        b.customers as customers_before,
        cast(null as bigint) as customers_now,
        h.overlap * 2 >= b.of_both_runs and b.of_both_runs * 2 >= b.customers as is_related,
        h.other_segment,
        h.other_name,
        h.overlap,
        b.of_both_runs,
        b.customers + o.customers as customers_of_two
    from before as b
    left join now as n on b.family = n.family and b.segment = n.segment
    left join heirs as h on b.family = h.family and b.segment = h.segment and h.place = 1
    left join now as o on h.family = o.family and h.other_segment = o.segment
    where n.segment is null
),

segments as (
    select
        family,
        segment,
        segment_name,
        customers_before,
        customers_now,
        status,
        other_segment,
        other_name,
        overlap,
        of_both_runs,
        customers_of_two
    from continued
    union all
    select
        family,
        segment,
        segment_name,
        customers_before,
        customers_now,
        case when is_related then 'split' else 'born' end as status,
        other_segment,
        other_name,
        overlap,
        of_both_runs,
        customers_of_two
    from appeared
    union all
    select
        family,
        segment,
        segment_name,
        customers_before,
        customers_now,
        case when is_related then 'merged' else 'died' end as status,
        other_segment,
        other_name,
        overlap,
        of_both_runs,
        customers_of_two
    from vanished
),

shown as (
    select
        l.from_as_of,
        s.family,
        s.segment,
        s.segment_name,
        s.status,
        s.other_segment,
        s.other_name,
        s.customers_before,
        s.customers_now,
        case when s.overlap = 0 or m.customers is not null then s.overlap end as overlap,
        s.of_both_runs,
        s.customers_of_two
    from segments as s
    cross join latest as l
    left join segments.segment_migration as m
        on
            l.from_as_of = m.from_as_of
            and s.family = m.family
            and case when s.customers_before is null then s.other_segment else s.segment end = m.from_segment
            and case when s.customers_now is null then s.other_segment else s.segment end = m.to_segment
)

select
    $as_of as as_of,
    from_as_of,
    family,
    segment,
    segment_name,
    status,
    other_segment,
    other_name,
    customers_before,
    customers_now,
    overlap,
    -- of those of the segment who were in the family in both runs
    cast(overlap as double) / nullif(of_both_runs, 0) as overlap_share,
    cast(overlap as double) / nullif(customers_of_two - overlap, 0) as jaccard
from shown
