-- Every account known before `as_of`.
-- grain: account_id
-- store: table
select account_id
from staging.customers
union
select account_id
from staging.orders
where $accounts_from_orders and ordered_at < $as_of
