-- Customers whose tags lie outside their domain.
select
    l.customer_id,
    l.life_cycle,
    l.own_life_cycle,
    l.high_value_churned,
    r.rfm_score,
    r.rfm_type,
    v.value_tier,
    v.spending_level,
    v.buyer_grade,
    t.median_gap_days,
    t.purchase_regularity
from tags.life_cycle as l
left join tags.rhythm as t on l.customer_id = t.customer_id
left join tags.rfm as r on l.customer_id = r.customer_id
left join tags.value as v on l.customer_id = v.customer_id
where
    l.life_cycle is null
    or l.life_cycle not in ('prospect', 'new', 'active', 'dormant', 'churned', 'won back')
    or l.own_life_cycle is null
    or l.own_life_cycle not in ('prospect', 'new', 'active', 'dormant', 'churned', 'won back')
    or (l.life_cycle = 'prospect') <> (l.own_life_cycle = 'prospect')
    or (l.high_value_churned and l.life_cycle <> 'churned')
    or (l.life_cycle = 'prospect') <> (r.customer_id is null)
    or (l.life_cycle = 'prospect') <> (v.customer_id is null)
    or v.value_tier not in ('head', 'potential', 'long tail')
    or v.spending_level not in ('lowest', 'low', 'middle', 'high', 'highest')
    or v.buyer_grade not in ('one-time', 'repeat', 'regular', 'loyal')
    or (r.customer_id is not null and (r.rfm_type is null or r.rfm_segment is null or v.spending_level is null))
    or r.recency_score not between 1 and 5
    or r.frequency_score not between 1 and 5
    or r.monetary_score not between 1 and 5
    or t.customer_id is null
    or t.median_gap_days < 1
    or t.purchase_regularity not between 0 and 1
    or (t.overdue is not null and t.purchase_regularity is null)
