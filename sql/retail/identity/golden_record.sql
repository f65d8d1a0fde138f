-- One row per person and field: the value that counts, the record and system it comes from, and the policy by which it won.
-- grain: customer_id, field
-- store: table
select
    customer_id,
    field,
    value,
    account_id,
    system,
    policy
from identity.field_values
where place = 1
