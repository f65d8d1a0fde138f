-- Traits that make the segments of a family, and so say nothing of them.
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
    ('life_cycle', 'dormant'),
    ('value_tier', 'value_tier')
) as own (family, trait)
