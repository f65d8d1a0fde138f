-- Each segment of each family by its numbers: exact quantiles and means, beside those of all customers.
-- grain: as_of, family, segment, number
-- store: table
-- publish: as_of
-- why: segments in which few have the number are suppressed, and with them another of the family if they could be computed
--    from it; money is in whole units, shares are to a thousandth
with
-- The segments of each family and, as their total, all customers.
tables as (
    select
        s.family,
        s.number,
        array_agg(s.segment order by s.segment) as segments,
        suppressed_cells(array_append(array_agg(s.n order by s.segment), max(b.n)), 1, $portrait_min_cell) as suppressed
    from portraits.number_cells as s
    inner join portraits.number_cells as b on s.number = b.number
    where s.family is not null and b.family is null
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
        coalesce(j.suppressed, c.n < $portrait_min_cell) as suppressed,
        case when not coalesce(j.suppressed, c.n < $portrait_min_cell) then c.mean end as mean,
        case when not coalesce(j.suppressed, c.n < $portrait_min_cell) then c.quantiles end as quantiles
    from portraits.number_cells as c
    left join judged as j on c.family = j.family and c.segment = j.segment and c.number = j.number
)

select
    $as_of as as_of,
    s.family,
    s.segment,
    g.segment_name,
    g.segment_name_zh,
    s.number,
    case when not s.suppressed then s.n end as n,
    g.customers,
    s.mean,
    s.quantiles[1] as q05,
    s.quantiles[2] as q25,
    s.quantiles[3] as q50,
    s.quantiles[4] as q75,
    s.quantiles[5] as q95,
    case when not b.suppressed then b.n end as base_n,
    b.mean as base_mean,
    b.quantiles[1] as base_q05,
    b.quantiles[2] as base_q25,
    b.quantiles[3] as base_q50,
    b.quantiles[4] as base_q75,
    b.quantiles[5] as base_q95,
    s.suppressed,
    $run_id as run_id
from published as s
inner join published as b on s.number = b.number
inner join portraits.groups as g on s.family = g.family and s.segment = g.segment
where s.family is not null and b.family is null
