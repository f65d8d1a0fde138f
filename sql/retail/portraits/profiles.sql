-- A number for all segments together that a customer is in, and whether they were active lately.
-- grain: customer_id
-- store: table
-- publish: none
-- why: customers of one profile are counted once and for all families; there are hundreds of profiles, not millions
with
parts as (
    select
        customer_id,
        row_hash(family, segment) as part,
        cast(null as boolean) as active
    from segments.family_members
    union all
    select
        customer_id,
        arrow_cast(0, 'UInt64') as part,
        last_active_days <= $heat_map_days as active
    from segments.customer_360
)

select
    customer_id,
    bit_xor(part) as profile,
    coalesce(bool_or(active), false) as active
from parts
group by customer_id
