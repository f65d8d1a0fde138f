-- Each behaviour segment beside all customers, feature by feature: means, and how far they lie apart.
-- grain: as_of, segment, feature
-- store: table
-- publish: as_of
-- why: `effect_size` is the difference of the means in the model's space, where outliers are bounded, in standard deviations of
--    all customers (Cohen's d against the base): from .8 on it is large; `place` 1 is what tells the segment best
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

compared as (
    select
        p.segment,
        p.segment_name,
        p.feature,
        p.customers,
        p.known,
        p.total / nullif(p.known, 0) as mean,
        b.total / nullif(b.known, 0) as base_mean,
        b.known as base_known,
        b.customers as base_customers,
        (p.scaled_total / p.customers - b.scaled_mean)
        / nullif(sqrt(greatest(b.scaled_square - b.scaled_mean * b.scaled_mean, 0.0)), 0.0) as effect_size
    from parts as p
    inner join bases as b on p.feature = b.feature
)

select
    $as_of as as_of,
    segment,
    segment_name,
    feature,
    row_number() over (
        partition by segment
        order by abs(coalesce(effect_size, 0.0)) desc, feature, segment_name
    ) as place,
    effect_size,
    mean,
    base_mean,
    customers,
    cast(known as double) / customers as known_share,
    cast(base_known as double) / nullif(base_customers, 0) as base_known_share,
    $run_id as run_id
from compared
