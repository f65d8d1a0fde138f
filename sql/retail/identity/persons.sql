-- One row per customer: accounts, age of the relation, and the value known best of each attribute.
-- grain: customer_id
-- store: table
-- why: where systems contradict each other, the record updated last wins, attribute by attribute
select
    p.customer_id,
    count(*) as accounts,
    min(c.registered_at) as registered_at,
    first_value(c.gender order by c.updated_at desc nulls last, p.account_id)
        filter (where c.gender is not null) as gender,
    first_value(c.birth_date order by c.updated_at desc nulls last, p.account_id)
        filter (where c.birth_date is not null) as birth_date,
    first_value(c.region order by c.updated_at desc nulls last, p.account_id)
        filter (where c.region is not null) as region
from identity.account_person as p
left join staging.customers as c on p.account_id = c.account_id
group by p.customer_id
