-- Families whose segments together are not all their members and all their spend.
with
parts as (
    select family, customers, spend
    from portraits.segment_summary
    union all
    select m.family, -1 as customers, -c.monetary_total as spend
    from segments.family_members as m
    inner join segments.customer_360 as c on m.customer_id = c.customer_id
)

select
    family,
    sum(customers) as customers,
    sum(spend) as spend
from parts
group by family
having sum(customers) <> 0 or sum(spend) <> 0
