-- Customers without a row of features, or with several.
with
rows as (
    select customer_id, 1 as persons, 0 as features
    from identity.persons
    union all
    select customer_id, 0 as persons, 1 as features
    from features.customers
)

select
    customer_id,
    sum(persons) as persons,
    sum(features) as features
from rows
group by customer_id
having sum(persons) <> 1 or sum(features) <> 1
