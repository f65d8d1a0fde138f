-- Customers whose tags lie outside their domain.
select
    t.customer_id,
    t.life_cycle,
    r.rfm_score,
    r.rfm_type,
    v.value_tier
from tags.customer_tags as t
left join tags.rfm as r on t.customer_id = r.customer_id
left join tags.value as v on t.customer_id = v.customer_id
where
    t.life_cycle is null
    or t.life_cycle not in ('prospect', 'new', 'active', 'dormant', 'churned')
    or (t.life_cycle = 'prospect') <> (r.customer_id is null)
    or (t.life_cycle = 'prospect') <> (v.customer_id is null)
    or v.value_tier not in ('head', 'potential', 'long tail')
    or (r.customer_id is not null and (r.rfm_type is null or r.rfm_segment is null))
    or r.recency_score not between 1 and 5
    or r.frequency_score not between 1 and 5
    or r.monetary_score not between 1 and 5
