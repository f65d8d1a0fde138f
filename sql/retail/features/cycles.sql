-- How each customer who ever bought spaces purchases: the own cycle, how evenly, the last return, the last year of buying.
-- grain: customer_id
-- store: table
-- why: regularity is 1 - C of Zhang, Bradlow and Small 2015 (Predicting Customer Value Using Clumpiness): the entropy of the
--    shares that the gaps have of the days from the first purchase to `as_of`, the open one included, over the greatest there
--    can be; an own cycle needs `cycle_purchases` purchase days, and one under `cycle_floor_days` counts as so many
with
bought as (
    select
        customer_id,
        local_date($as_of, $time_zone) as as_of_day,
        first_purchase_on,
        last_purchase_on,
        purchase_days,
        median_gap_days,
        gap_entropy,
        purchase_days >= $cycle_purchases as rhythmic
    from features.purchases
    where purchase_days > 0
),

measured as (
    select
        customer_id,
        as_of_day,
        last_purchase_on,
        purchase_days,
        median_gap_days,
        as_of_day - last_purchase_on as open_days,
        cast(as_of_day - first_purchase_on as double) as days,
        gap_entropy,
        rhythmic,
        case when rhythmic then greatest(median_gap_days, $cycle_floor_days) end as cycle_days
    from bought
),

limited as (
    select
        customer_id,
        as_of_day,
        last_purchase_on,
        median_gap_days,
        cycle_days,
        coalesce(cycle_days * $own_dormant_cycles, $dormant_days) as own_dormant_days,
        coalesce(cycle_days * $own_churned_cycles, $churned_days) as own_churned_days,
        case
            when rhythmic
                then (
                    ln(days)
                    - (gap_entropy + case when open_days > 0 then open_days * ln(cast(open_days as double)) else 0 end) / days
                ) / ln(cast(purchase_days as double))
        end as evenness
    from measured
),

-- A purchase after a gap of so many days is a return.
returned as (
    select
        d.customer_id,
        max(d.order_date) filter (where d.gap_days >= $churned_days) as returned_on,
        max(d.order_date) filter (where d.gap_days >= l.own_churned_days) as own_returned_on,
        sum(d.net) filter (where d.order_date > l.last_purchase_on - 365) as spend_last_year
    from features.purchase_days as d
    inner join limited as l on d.customer_id = l.customer_id
    group by d.customer_id
)

select
    l.customer_id,
    l.median_gap_days,
    l.cycle_days,
    -- rounding may leave the bounds
    case when l.evenness is not null then least(greatest(l.evenness, 0.0), 1.0) end as purchase_regularity,
    cast(l.own_dormant_days as double) as own_dormant_days,
    cast(l.own_churned_days as double) as own_churned_days,
    l.as_of_day - r.returned_on as returned_days,
    l.as_of_day - r.own_returned_on as own_returned_days,
    cast(r.spend_last_year as decimal(18, 2)) as spend_last_year
from limited as l
inner join returned as r on l.customer_id = r.customer_id
