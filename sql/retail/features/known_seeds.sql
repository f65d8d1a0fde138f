-- The seeds of each list that are customers as of `as_of`.
-- grain: list_id, customer_id
-- store: table
-- quarantine: rule
select
    s.list_id,
    s.customer_id,
    case when c.customer_id is null then 'unknown_customer' end as rule
from staging.lookalike_seeds as s
left join features.customers as c on s.customer_id = c.customer_id
