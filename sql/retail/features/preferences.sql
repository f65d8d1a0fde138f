-- The strongest preferences of each customer who consents to marketing, ranked within each dimension.
-- grain: customer_id, dimension, place
-- store: table
-- why: the strength is the share of the customer, drawn to that of all who consent as if `preference_prior` choices more had been
--    made like theirs (the mean of a Dirichlet posterior); values of less than the minimum evidence are not given
with
wholes as (
    select
        customer_id,
        dimension,
        fixed_sum(weight) as out_of
    from features.tastes
    where out_of is null
    group by customer_id, dimension
),

sums as (
    select
        dimension,
        value,
        fixed_sum(weight) as weight,
        fixed_sum(out_of) as out_of
    from features.tastes
    group by dimension, value
),

dimensions as (
    select
        dimension,
        fixed_sum(weight) as weight
    from features.tastes
    group by dimension
),

bases as (
    select
        s.dimension,
        s.value,
        s.weight / coalesce(s.out_of, d.weight) as base_share
    from sums as s
    inner join dimensions as d on s.dimension = d.dimension
),

shares as (
    select
        t.customer_id,
        t.dimension,
        t.value,
        t.weight / coalesce(t.out_of, w.out_of) as share,
        b.base_share,
        (t.weight + $preference_prior * b.base_share) / (coalesce(t.out_of, w.out_of) + $preference_prior) as strength,
        t.evidence,
        t.last_on
    from features.tastes as t
    inner join bases as b on t.dimension = b.dimension and t.value = b.value
    left join wholes as w on t.customer_id = w.customer_id and t.dimension = w.dimension
    where
        t.weight > 0
        and t.evidence >= case when t.out_of is null then $preference_evidence else $preference_messages end
),

ranked as (
    select
        customer_id,
        dimension,
        value,
        strength,
        share,
        base_share,
        evidence,
        last_on,
        row_number() over (
            partition by customer_id, dimension order by strength desc, evidence desc, last_on desc, value
        ) as place
    from shares
)

select
    customer_id,
    dimension,
    cast(place as int) as place,
    value,
    strength,
    share,
    base_share,
    strength / base_share as lift,
    evidence,
    last_on
from ranked
where place <= $preference_places
