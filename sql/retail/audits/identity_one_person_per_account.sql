-- Accounts with no customer or more than one.
select
    a.account_id,
    count(p.customer_id) as customers
from identity.accounts as a
left join identity.account_person as p on a.account_id = p.account_id
group by a.account_id
having count(p.customer_id) <> 1
