-- The segments of each profile, and beside them the base of all customers, which has no family.
-- grain: profile, family, segment
-- store: table
-- publish: none
with
profiles as (
    select
        profile,
        count(*) as customers,
        count(*) filter (where active) as active_customers,
        -- one stands for all, who are in the same segments
        min(customer_id) as customer_id
    from portraits.profiles
    group by profile
)

select
    p.profile,
    m.family,
    m.segment,
    m.segment_name,
    m.segment_name_zh,
    p.customers,
    p.active_customers
from profiles as p
inner join segments.family_members as m on p.customer_id = m.customer_id
union all
select
    profile,
    cast(null as varchar) as family,
    cast(null as varchar) as segment,
    cast(null as varchar) as segment_name,
    cast(null as varchar) as segment_name_zh,
    customers,
    active_customers
from profiles
