-- One row per customer: accounts, age of the relation, and what the golden record says of sex, birth and region.
-- grain: customer_id
-- store: table
with
known as (
    select
        customer_id,
        max(value) filter (where field = 'gender') as gender,
        max(value) filter (where field = 'birth_date') as birth_date,
        max(value) filter (where field = 'region') as region
    from identity.golden_record
    group by customer_id
),

accounts as (
    select
        p.customer_id,
        count(*) as accounts,
        min(c.registered_at) as registered_at
    from identity.account_person as p
    left join staging.customers as c on p.account_id = c.account_id
    group by p.customer_id
)

select
    a.customer_id,
    a.accounts,
    a.registered_at,
    k.gender,
    parse_date(k.birth_date) as birth_date,
    k.region
from accounts as a
left join known as k on a.customer_id = k.customer_id
