-- Customers whose tags contradict each other: who has bought has scores, a tier and a grade, who has not has none.
select
    customer_id,
    life_cycle,
    own_life_cycle,
    rfm_type,
    rfm_segment,
    value_tier,
    spending_level
from segments.customer_360
where
    life_cycle is null
    or own_life_cycle is null
    or (life_cycle = 'prospect') <> (own_life_cycle = 'prospect')
    or (life_cycle = 'prospect') <> (rfm_score is null)
    or (life_cycle = 'prospect') <> (rfm_type is null)
    or (life_cycle = 'prospect') <> (rfm_segment is null)
    or (life_cycle = 'prospect') <> (value_tier is null)
    or (life_cycle = 'prospect') <> (spending_level is null)
    or (high_value_churned and life_cycle <> 'churned')
    or (overdue is not null and purchase_regularity is null)
