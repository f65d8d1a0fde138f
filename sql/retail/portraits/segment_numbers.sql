-- Each segment of each family by its numbers: exact quantiles and means, beside those of all customers.
-- grain: as_of, family, segment, number
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), family varchar, segment varchar, segment_name varchar, segment_name_zh varchar, number varchar,
--    n bigint, customers bigint, mean double, q05 double, q25 double, q50 double, q75 double, q95 double, base_n bigint,
--    base_mean double, base_q05 double, base_q25 double, base_q50 double, base_q75 double, base_q95 double, suppressed boolean,
--    counted_as_of timestamp(6), base_counted_as_of timestamp(6), run_id varchar
-- why: segments in which few have the number are suppressed, and with them another of the family if they could be computed
--    from it; money is in whole units, shares are to a thousandth. Figures are those of `counted_as_of`, by
--    `portraits.segment_releases`; what was withheld then stays withheld
with
releases as (
    select
        family,
        segment,
        counted_as_of
    from portraits.segment_releases
),

-- What is said of each segment, and of everyone.
figures as (
    select
        r.family,
        r.segment,
        r.counted_as_of,
        c.number,
        c.n,
        g.customers,
        c.mean,
        c.quantiles
    from portraits.number_cells as c
    inner join releases as r on coalesce(c.family, 'everyone') = r.family and coalesce(c.segment, 'everyone') = r.segment
    inner join portraits.groups as g
        on r.family = coalesce(g.family, 'everyone') and r.segment = coalesce(g.segment, 'everyone')
    where r.counted_as_of = $as_of
    union all
    select
        r.family,
        r.segment,
        r.counted_as_of,
        s.number,
        s.n,
        s.customers,
        s.mean,
        [s.q05, s.q25, s.q50, s.q75, s.q95] as quantiles
    from segment_numbers as s
    inner join releases as r on s.family = r.family and s.segment = r.segment and s.as_of = r.counted_as_of
    where s.counted_as_of = s.as_of
    union all
    select
        r.family,
        r.segment,
        r.counted_as_of,
        s.number,
        max(s.base_n) as n,
        cast(null as bigint) as customers,
        max(s.base_mean) as mean,
        [max(s.base_q05), max(s.base_q25), max(s.base_q50), max(s.base_q75), max(s.base_q95)] as quantiles
    from segment_numbers as s
    inner join releases as r on s.as_of = r.counted_as_of
    where r.family = 'everyone' and s.base_counted_as_of = s.as_of
    group by r.family, r.segment, r.counted_as_of, s.number
),

-- The segments of each family and, as their total, all customers.
tables as (
    select
        s.family,
        s.number,
        array_agg(s.segment order by s.segment) as segments,
        suppressed_cells(
            array_append(array_agg(coalesce(s.n, 0) order by s.segment), coalesce(max(b.n), 0)), 1, $portrait_min_cell
        ) as suppressed
    from figures as s
    inner join figures as b on s.number = b.number
    where s.family <> 'everyone' and b.family = 'everyone'
    group by s.family, s.number
),

judged as (
    select
        family,
        number,
        unnest(segments) as segment,
        unnest(suppressed) as suppressed
    from tables
),

published as (
    select
        c.family,
        c.segment,
        c.number,
        c.n,
        c.customers,
        c.counted_as_of,
        coalesce(j.suppressed or c.n is null, c.n < $portrait_min_cell, true) as suppressed,
        c.mean,
        c.quantiles
    from figures as c
    left join judged as j on c.family = j.family and c.segment = j.segment and c.number = j.number
),

shown as (
    select
        family,
        segment,
        number,
        customers,
        counted_as_of,
        suppressed,
        case when not suppressed then n end as n,
        case when not suppressed then mean end as mean,
        case when not suppressed then quantiles end as quantiles
    from published
)

select
    $as_of as as_of,
    s.family,
    s.segment,
    g.segment_name,
    g.segment_name_zh,
    s.number,
    s.n,
    s.customers,
    s.mean,
    s.quantiles[1] as q05,
    s.quantiles[2] as q25,
    s.quantiles[3] as q50,
    s.quantiles[4] as q75,
    s.quantiles[5] as q95,
    b.n as base_n,
    b.mean as base_mean,
    b.quantiles[1] as base_q05,
    b.quantiles[2] as base_q25,
    b.quantiles[3] as base_q50,
    b.quantiles[4] as base_q75,
    b.quantiles[5] as base_q95,
    s.suppressed,
    s.counted_as_of,
    b.counted_as_of as base_counted_as_of,
    $run_id as run_id
from shown as s
inner join shown as b on s.number = b.number
inner join portraits.groups as g on s.family = g.family and s.segment = g.segment
where s.family <> 'everyone' and b.family = 'everyone'
