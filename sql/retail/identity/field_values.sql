-- Every value that the records of a person have for a field, those that lost too, in the order in which they count.
-- grain: customer_id, field, place
-- store: table
-- why: a till is trusted most, as somebody saw a document there, then the web shop, then the app; of values that count alike the
--    one updated last goes first, then the one of more records
with
entries as (
    select
        p.customer_id,
        c.account_id,
        c.system,
        c.updated_at,
        unnest(
            [
                'full_name', 'email', 'phone', 'birth_date', 'gender', 'street', 'district', 'city', 'province',
                'region', 'postcode', 'national_id'
            ]
        ) as field,
        unnest(
            [
                c.full_name, c.email, c.phone, cast(c.birth_date as varchar), c.gender, c.street, c.district, c.city,
                c.province, c.region, c.postcode, c.national_id
            ]
        ) as value
    from identity.account_person as p
    inner join staging.customers as c on p.account_id = c.account_id
),

grouped as (
    select
        customer_id,
        field,
        value,
        count(*) as records,
        max(updated_at) as updated_at,
        max(case system when 'pos' then 3 when 'web' then 2 when 'app' then 1 else 0 end) as trust,
        -- of those updated at the same instant the first account
        max_by(account_id, coalesce(cast(updated_at as bigint), -9223372036854775807)) as account_id
    from entries
    where value is not null
    group by customer_id, field, value
)

select
    g.customer_id,
    g.field,
    g.value,
    g.records,
    g.account_id,
    c.system,
    g.updated_at,
    p.policy,
    row_number() over (
        partition by g.customer_id, g.field
        order by
            case
                when p.policy = 'most_frequent' then g.records
                when p.policy = 'longest' then character_length(g.value)
                when p.policy = 'most_trusted' then g.trust
            end desc nulls last,
            g.updated_at desc nulls last, g.records desc, g.value
    ) as place
from grouped as g
inner join staging.customers as c on g.account_id = c.account_id
inner join identity.field_policies as p on g.field = p.field
