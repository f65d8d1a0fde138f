-- Names that a bridge joins to another, each with itself.
-- grain: account_id
-- store: table
with
names as (
    select left_component as account_id
    from identity.bridges
    union
    select right_component as account_id
    from identity.bridges
)

select
    account_id,
    account_id as component
from names
