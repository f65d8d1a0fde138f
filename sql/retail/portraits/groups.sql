-- The size of each segment, and of the base of all customers, which has no family.
-- grain: family, segment
-- store: table
-- publish: none
select
    family,
    segment,
    max(segment_name) as segment_name,
    max(segment_name_zh) as segment_name_zh,
    cast(sum(customers) as bigint) as customers,
    cast(sum(active_customers) as bigint) as active_customers
from portraits.profile_segments
group by family, segment
