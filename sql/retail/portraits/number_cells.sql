-- The numbers of each segment, and of all customers (no family): how many have each, its mean and exact quantiles.
-- grain: family, segment, number
-- store: table
-- publish: none
-- why: the only pass over customers and their numbers. Money is taken in whole units and a share to a thousandth: few different
--    values, of which none tells whose it is, bound what the quantiles hold
with
placed as (
    select
        s.family,
        s.segment,
        cast(c.recency_days as double) as recency_days,
        cast(c.tenure_days as double) as tenure_days,
        cast(c.frequency as double) as frequency,
        cast(round(c.monetary_total) as double) as monetary_total,
        cast(round(c.avg_order_value) as double) as avg_order_value,
        cast(round(c.purchase_cycle_days) as double) as purchase_cycle_days,
        cast(round(c.items_per_order, 1) as double) as items_per_order,
        cast(c.categories as double) as categories,
        cast(round(c.discounted_share, 3) as double) as discounted_share,
        cast(round(c.return_rate, 3) as double) as return_rate,
        cast(c.active_days as double) as active_days,
        cast(c.views as double) as views,
        cast(round(c.evening_share, 3) as double) as evening_share,
        cast(round(c.weekend_share, 3) as double) as weekend_share
    from segments.customer_360 as c
    inner join portraits.profiles as p on c.customer_id = p.customer_id
    inner join portraits.profile_segments as s on p.profile = s.profile
),

described as (
    select
        family,
        segment,
        make_array(
            named_struct(
                'number', 'recency_days',
                'n', count(recency_days),
                'total', fixed_sum(recency_days),
                'quantiles', quantile_disc(recency_days, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'tenure_days',
                'n', count(tenure_days),
                'total', fixed_sum(tenure_days),
                'quantiles', quantile_disc(tenure_days, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'frequency',
                'n', count(frequency),
                'total', fixed_sum(frequency),
                'quantiles', quantile_disc(frequency, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'monetary_total',
                'n', count(monetary_total),
                'total', fixed_sum(monetary_total),
                'quantiles', quantile_disc(monetary_total, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'avg_order_value',
                'n', count(avg_order_value),
                'total', fixed_sum(avg_order_value),
                'quantiles', quantile_disc(avg_order_value, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'purchase_cycle_days',
                'n', count(purchase_cycle_days),
                'total', fixed_sum(purchase_cycle_days),
                'quantiles', quantile_disc(purchase_cycle_days, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'items_per_order',
                'n', count(items_per_order),
                'total', fixed_sum(items_per_order),
                'quantiles', quantile_disc(items_per_order, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'categories',
                'n', count(categories),
                'total', fixed_sum(categories),
                'quantiles', quantile_disc(categories, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'discounted_share',
                'n', count(discounted_share),
                'total', fixed_sum(discounted_share),
                'quantiles', quantile_disc(discounted_share, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'return_rate',
                'n', count(return_rate),
                'total', fixed_sum(return_rate),
                'quantiles', quantile_disc(return_rate, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'active_days',
                'n', count(active_days),
                'total', fixed_sum(active_days),
                'quantiles', quantile_disc(active_days, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'views',
                'n', count(views),
                'total', fixed_sum(views),
                'quantiles', quantile_disc(views, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'evening_share',
                'n', count(evening_share),
                'total', fixed_sum(evening_share),
                'quantiles', quantile_disc(evening_share, [0.05, 0.25, 0.5, 0.75, 0.95])
            ),
            named_struct(
                'number', 'weekend_share',
                'n', count(weekend_share),
                'total', fixed_sum(weekend_share),
                'quantiles', quantile_disc(weekend_share, [0.05, 0.25, 0.5, 0.75, 0.95])
            )
        ) as numbers
    from placed
    group by family, segment
),

listed as (
    select
        family,
        segment,
        unnest(numbers) as described
    from described
)

select
    family,
    segment,
    described['number'] as number,
    described['n'] as n,
    described['total'] / nullif(described['n'], 0) as mean,
    described['quantiles'] as quantiles
from listed
