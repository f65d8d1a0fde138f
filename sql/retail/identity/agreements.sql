-- How far the fields of the two records of each candidate pair agree, with how frequent the value is on which they do.
-- grain: left_id, right_id
-- store: view
-- why: agreement on a rare name says more than on a frequent one
with
names as (
    select
        name,
        count(*) as records
    from identity.records
    where name is not null
    group by name
),

total as (
    select sum(records) as records
    from names
)

select
    l.left_id,
    l.right_id,
    [l.name, l.email, l.phone, l.birth_date, l.gender, l.street, l.postcode, l.national_id] as levels,
    [cast(n.records as double) / t.records, null, null, null, null, null, null, null] as chances
from identity.levels as l
cross join total as t
left join names as n on l.shared_name = n.name
where not l.sampled
