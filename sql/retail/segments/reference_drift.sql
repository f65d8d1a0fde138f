-- The cut points that RFM scores go by: as of when they were taken, and how far customers have moved since,
--    by column.
-- grain: as_of, model, feature
-- store: table
-- publish: as_of
-- why: the stability index compares the shares of customers with each score, and without one, then and now:
--    below .1 they are stable, from .25 on the customers are others; types go by the means. Beyond a limit,
--    `refit: drifted` takes new cut points and `refit: never` keeps these
with
models as (
    select unnest($models) as model
),

reference as (
    select
        model['refit'] as refit,
        model['trained_as_of'] as trained_as_of,
        model['max_drift'] as max_drift,
        model['max_move'] as max_move
    from models
    where model['model'] = 'rfm_reference'
),

customers as (
    select
        unnest(
            make_array(
                named_struct(
                    'feature', 'recency_days',
                    'value', recency_days,
                    'score', quantile_score(recency_days, $rfm_reference, 'recency_days')
                ),
                named_struct(
                    'feature', 'frequency',
                    'value', frequency,
                    'score', quantile_score(frequency, $rfm_reference, 'frequency')
                ),
                named_struct(
                    'feature', 'monetary',
                    'value', monetary,
                    'score', quantile_score(monetary, $rfm_reference, 'monetary')
                )
            )
        ) as customer
    from features.rfm_window
),

scored as (
    select
        customer['feature'] as feature,
        -- the bin behind the scores is that of customers without one
        coalesce(
            cast(customer['score'] as bigint), cast(array_length($rfm_reference['quantiles']) as bigint) + 2
        ) as bin,
        count(*) as customers,
        count(customer['value']) as known,
        fixed_sum(customer['value']) as total
    from customers
    group by 1, 2
),

columns as (
    select
        unnest($rfm_reference['columns']) as feature,
        unnest(range(cast(array_length($rfm_reference['columns']) as bigint))) as place,
        cast(array_length($rfm_reference['quantiles']) as bigint) as quantiles
),

bins as (
    select
        feature,
        place,
        quantiles,
        unnest(range(1, quantiles + 3)) as bin
    from columns
),

compared as (
    select
        b.feature,
        b.place,
        b.quantiles,
        population_stability(
            array_agg($rfm_reference['shares'][b.place * (b.quantiles + 2) + b.bin] order by b.bin),
            array_agg(cast(coalesce(s.customers, 0) as double) order by b.bin)
        ) as stability_index,
        reference_mean($rfm_reference, b.feature) as mean_trained,
        sum(s.customers) as customers,
        fixed_sum(s.total) / nullif(sum(s.known), 0) as mean
    from bins as b
    left join scored as s on b.feature = s.feature and b.bin = s.bin
    group by b.feature, b.place, b.quantiles
)

select
    $as_of as as_of,
    'rfm_reference' as model,
    c.feature,
    r.refit,
    r.trained_as_of,
    cast(local_date($as_of, $time_zone) - local_date(r.trained_as_of, $time_zone) as int) as days_since,
    array_slice($rfm_reference['cuts'], c.place * c.quantiles + 1, (c.place + 1) * c.quantiles) as cut_points,
    c.stability_index,
    r.max_drift,
    c.mean_trained,
    c.mean,
    r.max_move,
    coalesce(c.stability_index > r.max_drift, false)
    or coalesce(abs(c.mean - c.mean_trained) > r.max_move * abs(c.mean_trained), false)
    or (c.mean is null) <> (c.mean_trained is null) as beyond_limit,
    cast(coalesce(c.customers, 0) as bigint) as customers,
    $run_id as run_id
from compared as c
cross join reference as r
