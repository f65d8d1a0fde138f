-- How fields agree of two records of one person, of two members of a household and of two strangers.
-- kind: linkage
-- personal: birth_date, gender, national_id
-- twins: birth_date
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

-- The sets of pairs to which a pattern belongs, in a text, so that levels are read once.
sets as (
    select
        unnest(
            string_to_array(
                case
                    when sampled then 'random'
                    else
                        concat_ws(
                            ',',
                            'candidates',
                            case when email = 2 then 'email' end,
                            case when phone = 2 then 'phone' end,
                            case when national_id = 2 then 'national_id' end,
                            case when street = 3 then 'street' end,
                            case when birth_date = 3 and name = 4 then 'birth_date and name' end
                        )
                end,
                ','
            )
        ) as pairs_of,
        pairs,
        name,
        email,
        phone,
        birth_date,
        gender,
        street,
        postcode,
        national_id
    from patterns
),

total as (
    select count(*) as records
    from identity.records
)

select
    pairs_of,
    pairs,
    case when pairs_of <> 'birth_date and name' then name end as name,
    case when pairs_of <> 'email' then email end as email,
    case when pairs_of <> 'phone' then phone end as phone,
    case when pairs_of <> 'birth_date and name' then birth_date end as birth_date,
    gender,
    case when pairs_of <> 'street' then street end as street,
    case when pairs_of <> 'street' then postcode end as postcode,
    case when pairs_of <> 'national_id' then national_id end as national_id
from sets
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
