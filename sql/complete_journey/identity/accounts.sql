-- Every household with a receipt before `as_of`.
-- grain: account_id
-- store: table
-- why: two thirds of the households are described nowhere, and nothing says when the others were: receipts make a customer
select account_id
from staging.orders
where ordered_at < $as_of
group by account_id
