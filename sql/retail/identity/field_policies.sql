-- Which value of a field stands for a person whose records differ: the one of most records, the longest, the one updated
--    last, or the one of the system trusted most.
-- grain: field
-- store: table
select
    field,
    policy
from (
    values
    ('full_name', 'longest'),
    ('email', 'most_recent'),
    ('phone', 'most_recent'),
    ('birth_date', 'most_frequent'),
    ('gender', 'most_frequent'),
    ('street', 'most_recent'),
    ('district', 'most_recent'),
    ('city', 'most_recent'),
    ('province', 'most_recent'),
    ('region', 'most_recent'),
    ('postcode', 'most_recent'),
    ('national_id', 'most_trusted')
) as policies (field, policy)
