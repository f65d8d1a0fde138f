-- Customers whose tags contradict each other: who never bought and is worth something, who is churned by one tag only, and the like.
with
window_buyers as (
    select count(*) as buyers
    from features.rfm_window
)

select
    l.customer_id,
    l.life_cycle,
    l.own_life_cycle,
    l.high_value_churned,
    t.dormant,
    t.overdue,
    t.purchase_regularity,
    r.rfm_type,
    v.value_tier,
    v.spending_level,
    v.buyer_grade
from tags.life_cycle as l
left join tags.rhythm as t on l.customer_id = t.customer_id
left join tags.rfm as r on l.customer_id = r.customer_id
left join tags.value as v on l.customer_id = v.customer_id
cross join window_buyers as w
where
    l.life_cycle is null
    or l.own_life_cycle is null
    or (l.life_cycle = 'prospect') <> (l.own_life_cycle = 'prospect')
    or (l.life_cycle = 'prospect') <> (r.customer_id is null)
    or (l.life_cycle = 'prospect') <> (v.customer_id is null)
    or (l.high_value_churned and l.life_cycle <> 'churned')
    or t.dormant is null
    or (t.dormant and l.life_cycle not in ('dormant', 'churned', 'new'))
    or (not t.dormant and l.life_cycle in ('dormant', 'churned') and $dormant_days <= $churned_days)
    or (t.overdue is null) <> (t.purchase_regularity is null)
    or (t.purchase_regularity is not null and t.median_gap_days is null)
    -- without buyers in the window there is no reference population, so nobody has a type
    or (r.customer_id is not null and w.buyers > 0 and (r.rfm_type is null or r.rfm_segment is null))
    or (r.monetary_score is null) <> (v.spending_level is null)
    or (v.customer_id is not null and (v.value_tier is null or v.buyer_grade is null))
