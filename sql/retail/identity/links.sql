-- Pairs of records that are taken to be one person's: by their odds, or because somebody said so.
-- grain: left_id, right_id
-- store: table
-- why: what somebody said is stronger than any odds
select
    s.left_id,
    s.right_id,
    s.weight
from identity.scores as s
left join staging.identity_overrides as o on s.left_id = o.left_id and s.right_id = o.right_id
where s.weight >= $link_weight and o.verdict is null
union all
select
    left_id,
    right_id,
    1000.0 as weight
from staging.identity_overrides
where verdict = 'same'
