-- How frequent a value is: the share of records that bear it, for values that more than one person may bear.
-- grain: field, value
-- store: table
-- why: agreement on a frequent value, such as a birth date that a form suggests, says little. Two records that agree bear the value
--    themselves, so only others count. Of e-mails, phones, streets and national ids, which are one person's or household's, only
--    those that more than $max_block records share are looked up: of others agreement at large says enough. Values are hashes
with
borne as (
    select
        'name' as field,
        row_hash('name', name) as value,
        count(*) as records
    from identity.records
    where name is not null
    group by name
    union all
    select
        'birth_date' as field,
        row_hash('birth_date', birth_date) as value,
        count(*) as records
    from identity.records
    where birth_date is not null
    group by birth_date
    union all
    select
        'gender' as field,
        row_hash('gender', gender) as value,
        count(*) as records
    from identity.records
    where gender is not null
    group by gender
    union all
    select
        'postcode' as field,
        row_hash('postcode', postcode) as value,
        count(*) as records
    from identity.records
    where postcode is not null
    group by postcode
),

total as (
    select count(*) as records
    from identity.records
)

select
    b.field,
    b.value,
    case
        when b.field = 'name' then cast(b.records as double) / t.records
        else cast(b.records - 2 as double) / (t.records - 2)
    end as share
from borne as b
cross join total as t
where b.records > case when b.field = 'name' then 1 else 2 end
union all
select
    s.rule as field,
    s.block as value,
    cast(s.records as double) / t.records as share
from identity.block_sizes as s
cross join total as t
where s.rule in ('email', 'phone', 'street', 'national_id') and s.records > $max_block
