-- The stage of each customer's life cycle: by fixed days since purchases, and by the customer's own cycle.
-- grain: customer_id
-- store: table
-- tag_life_cycle: dimension level (prospect, new, active, dormant, churned, won back) | Life cycle | 生命周期
--    | none yet, first purchase under $new_days days ago, last one $churned_days or more ago, $dormant_days or more ago, returned
--    after $churned_days or more under $dormant_days ago, all others | needs orders
-- tag_own_life_cycle: dimension level (prospect, new, active, dormant, churned, won back) | Life cycle by own rhythm | 个人节奏生命周期
--    | as the life cycle, but dormant from $own_dormant_cycles own cycles on and churned from $own_churned_cycles, of who bought on
--    $cycle_purchases days or more | needs orders
-- tag_high_value_churned: dimension flag | Churned of high value | 高价值流失
--    | churned, with net spend of $high_value_spend or more in the 365 days up to the last purchase | needs orders
-- why: won back is who returned after days that make churned, less days ago than make dormant; who has no own cycle follows the
--    fixed days (`features.cycles`)
with
states as (
    select
        c.customer_id,
        case
            when c.recency_days is null then 'prospect'
            when c.first_purchase_days < $new_days then 'new'
            when c.recency_days >= $churned_days then 'churned'
            when c.recency_days >= $dormant_days then 'dormant'
            when y.returned_days < $dormant_days then 'won back'
            else 'active'
        end as life_cycle,
        case
            when c.recency_days is null then 'prospect'
            when c.first_purchase_days < $new_days then 'new'
            when c.recency_days >= y.own_churned_days then 'churned'
            when c.recency_days >= y.own_dormant_days then 'dormant'
            when y.own_returned_days < y.own_dormant_days then 'won back'
            else 'active'
        end as own_life_cycle,
        y.spend_last_year
    from features.customers as c
    left join features.cycles as y on c.customer_id = y.customer_id
)

select
    customer_id,
    life_cycle,
    own_life_cycle,
    life_cycle = 'churned' and spend_last_year >= cast($high_value_spend as decimal(18, 2)) as high_value_churned
from states
