-- Pairs of records that share a block, once each.
-- grain: left_id, right_id
-- store: table
select
    a.account_id as left_id,
    b.account_id as right_id
from identity.members as a
inner join identity.members as b on a.block = b.block
where a.account_id < b.account_id
group by a.account_id, b.account_id
