-- Each behaviour segment beside all customers, feature by feature: means, and how far they lie apart.
-- grain: as_of, segment, feature
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), segment int, segment_name varchar, feature varchar, place bigint, effect_size double, mean double,
--    base_mean double, customers bigint, known_share double, base_known_share double, suppressed boolean,
--    counted_as_of timestamp(6), base_counted_as_of timestamp(6), run_id varchar
-- why: `effect_size` is the difference of the means in the model's space, where outliers are bounded, in standard deviations of
--    all customers (Cohen's d against the base): from .8 on it is large; `place` 1 is what tells the segment best. Figures are
--    those of `counted_as_of`, by `portraits.segment_releases`, and withheld where those of `segment_summary` are
with
placed as (
    select
        s.segment,
        s.segment_name,
        v.vector,
        kmeans_scale(v.vector, $behaviour_model) as scaled
    from features.behaviour_vectors as v
    inner join segments.assigned as s on v.customer_id = s.customer_id
),

cells as (
    select
        segment,
        segment_name,
        unnest($behaviour_model['features']) as feature,
        unnest(vector) as value,
        unnest(scaled) as scaled
    from placed
),

parts as (
    select
        segment,
        segment_name,
        feature,
        count(*) as customers,
        count(value) as known,
        fixed_sum(value) as total,
        fixed_sum(scaled) as scaled_total,
        fixed_sum(scaled * scaled) as scaled_squares
    from cells
    group by segment, segment_name, feature
),

bases as (
    select
        feature,
        sum(customers) as customers,
        sum(known) as known,
        fixed_sum(total) as total,
        fixed_sum(scaled_total) / sum(customers) as scaled_mean,
        fixed_sum(scaled_squares) / sum(customers) as scaled_square
    from parts
    group by feature
),

releases as (
    select
        family,
        segment,
        counted_as_of
    from portraits.segment_releases
    where family in ('behaviour', 'everyone')
),

-- The base as it may be known: of this run, or of the one that counted it last.
known_bases as (
    select
        b.feature,
        b.total / nullif(b.known, 0) as mean,
        cast(b.known as double) / nullif(b.customers, 0) as known_share,
        r.counted_as_of
    from bases as b
    inner join releases as r on r.family = 'everyone' and r.counted_as_of = $as_of
    union all
    select
        p.feature,
        max(p.base_mean) as mean,
        max(p.base_known_share) as known_share,
        p.base_counted_as_of as counted_as_of
    from segment_profiles as p
    inner join releases as r on r.family = 'everyone' and p.as_of = r.counted_as_of
    where p.base_counted_as_of = p.as_of
    group by p.feature, p.base_counted_as_of
),

compared as (
    select
        p.segment,
        p.segment_name,
        p.feature,
        p.customers,
        p.total / nullif(p.known, 0) as mean,
        cast(p.known as double) / p.customers as known_share,
        (p.scaled_total / p.customers - b.scaled_mean)
        / nullif(sqrt(greatest(b.scaled_square - b.scaled_mean * b.scaled_mean, 0.0)), 0.0) as effect_size,
        w.suppressed,
        r.counted_as_of
    from parts as p
    inner join bases as b on p.feature = b.feature
    inner join portraits.segment_summary as w on w.family = 'behaviour' and cast(p.segment as varchar) = w.segment
    inner join releases as r on r.family = 'behaviour' and cast(p.segment as varchar) = r.segment
    where r.counted_as_of = $as_of
    union all
    select
        p.segment,
        g.segment_name,
        p.feature,
        p.customers,
        p.mean,
        p.known_share,
        p.effect_size,
        p.suppressed or w.suppressed as suppressed,
        r.counted_as_of
    from segment_profiles as p
    inner join releases as r
        on r.family = 'behaviour' and cast(p.segment as varchar) = r.segment and p.as_of = r.counted_as_of
    inner join portraits.segment_summary as w on w.family = 'behaviour' and r.segment = w.segment
    inner join portraits.groups as g on g.family = 'behaviour' and r.segment = g.segment
    where p.counted_as_of = p.as_of
),

shown as (
    select
        segment,
        segment_name,
        feature,
        customers,
        suppressed,
        counted_as_of,
        case when not suppressed then effect_size end as effect_size,
        case when not suppressed then mean end as mean,
        case when not suppressed then known_share end as known_share
    from compared
)

select
    $as_of as as_of,
    s.segment,
    s.segment_name,
    s.feature,
    cast(row_number() over (
        partition by s.segment
        order by abs(coalesce(s.effect_size, 0.0)) desc, s.feature, s.segment_name
    ) as bigint) as place,
    s.effect_size,
    s.mean,
    b.mean as base_mean,
    s.customers,
    s.known_share,
    b.known_share as base_known_share,
    s.suppressed,
    s.counted_as_of,
    b.counted_as_of as base_counted_as_of,
    $run_id as run_id
from shown as s
inner join known_bases as b on s.feature = b.feature
