-- Traits that make the segments of a family, or are made of the same, and so say nothing of them.
-- store: view
select
    family,
    trait
from (
    values
    ('behaviour', 'behaviour'),
    ('rfm', 'rfm_type'),
    ('rfm', 'rfm_segment'),
    ('life_cycle', 'life_cycle'),
    ('life_cycle', 'own_life_cycle'),
    ('life_cycle', 'dormant'),
    ('life_cycle', 'high_value_churned'),
    ('own_life_cycle', 'own_life_cycle'),
    ('own_life_cycle', 'life_cycle'),
    ('own_life_cycle', 'overdue'),
    ('own_life_cycle', 'high_value_churned'),
    ('value_tier', 'value_tier'),
    ('value_tier', 'spending_level'),
    ('spending_level', 'spending_level'),
    ('spending_level', 'value_tier'),
    ('buyer_grade', 'buyer_grade'),
    ('buyer_grade', 'purchase_count')
) as own (family, trait)
