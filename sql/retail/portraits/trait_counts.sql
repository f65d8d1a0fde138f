-- How many customers of each segment, and of all (no family), have each value of each trait, and each two of crossed traits.
-- grain: family, segment, trait, value, other_trait, other_value
-- store: table
-- publish: none
-- why: the only pass over customers and traits; all that compares segments starts from these counts
with
entries as (
    select
        p.profile,
        unnest(cross_fields(t.traits, $portrait_crossed)) as entry
    from portraits.traits as t
    inner join portraits.profiles as p on t.customer_id = p.customer_id
),

counted as (
    select
        profile,
        entry['field'] as trait,
        entry['value'] as value,
        entry['other_field'] as other_trait,
        entry['other_value'] as other_value,
        count(*) as customers
    from entries
    group by profile, entry['field'], entry['value'], entry['other_field'], entry['other_value']
)

select
    s.family,
    s.segment,
    c.trait,
    c.value,
    c.other_trait,
    c.other_value,
    cast(sum(c.customers) as bigint) as customers
from counted as c
inner join portraits.profile_segments as s on c.profile = s.profile
group by s.family, s.segment, c.trait, c.value, c.other_trait, c.other_value
