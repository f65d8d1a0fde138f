-- Families whose segments together are not all their members and all their spend.
with
parts as (
    select family, customers, spend
    from portraits.segment_summary
    union all
    select family, -1 as customers, -monetary_total as spend
    from segments.family_members
)

select
    family,
    sum(customers) as customers,
    sum(spend) as spend
from parts
group by family
having sum(customers) <> 0 or sum(spend) <> 0
