-- Customers who are not exactly once in the segments and in the customer view.
with
rows as (
    select customer_id, 1 as features, 0 as segments, 0 as views
    from features.customers
    union all
    select customer_id, 0 as features, 1 as segments, 0 as views
    from segments.segments
    where segment is not null and distance >= 0 and (margin is null or margin >= 0)
    union all
    select customer_id, 0 as features, 0 as segments, 1 as views
    from segments.customer_360
)

select
    customer_id,
    sum(features) as features,
    sum(segments) as segments,
    sum(views) as views
from rows
group by customer_id
having sum(features) <> 1 or sum(segments) <> 1 or sum(views) <> 1
