-- How fields agree of two records of one person, of two members of a household and of two strangers.
-- kind: linkage
-- personal: birth_date, gender, national_id
-- why: pairs that a rule makes candidates say nothing of the fields by which it does, so these are left out there
with
patterns as (
    select
        sampled,
        name,
        email,
        phone,
        birth_date,
        gender,
        street,
        postcode,
        national_id,
        count(*) as pairs
    from identity.levels
    group by sampled, name, email, phone, birth_date, gender, street, postcode, national_id
),

total as (
    select count(*) as records
    from identity.records
)

select 'random' as pairs_of, pairs, name, email, phone, birth_date, gender, street, postcode, national_id
from patterns
where sampled
union all
select 'candidates' as pairs_of, pairs, name, email, phone, birth_date, gender, street, postcode, national_id
from patterns
where not sampled
union all
select 'email' as pairs_of, pairs, name, null as email, phone, birth_date, gender, street, postcode, national_id
from patterns
where not sampled and email = 2
union all
select 'phone' as pairs_of, pairs, name, email, null as phone, birth_date, gender, street, postcode, national_id
from patterns
where not sampled and phone = 2
union all
select 'national_id' as pairs_of, pairs, name, email, phone, birth_date, gender, street, postcode, null as national_id
from patterns
where not sampled and national_id = 2
union all
select 'street' as pairs_of, pairs, name, email, phone, birth_date, gender, null as street, null as postcode, national_id
from patterns
where not sampled and street = 3
union all
select
    'birth_date and name' as pairs_of,
    pairs,
    null as name,
    email,
    phone,
    null as birth_date,
    gender,
    street,
    postcode,
    national_id
from patterns
where not sampled and birth_date = 3 and name = 4
union all
select
    'all' as pairs_of,
    records * (records - 1) / 2 as pairs,
    null as name,
    null as email,
    null as phone,
    null as birth_date,
    null as gender,
    null as street,
    null as postcode,
    null as national_id
from total
