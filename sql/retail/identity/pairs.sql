-- Pairs of records that share a block, once each.
-- grain: left_id, right_id
-- store: table
-- why: a block of very many records is a placeholder, such as the shop's own phone, and would take hours to pair
with
members as (
    select
        b.block,
        b.account_id
    from identity.blocks as b
    inner join identity.block_sizes as s on b.block = s.block
    where s.records <= $max_block
)

select
    a.account_id as left_id,
    b.account_id as right_id
from members as a
inner join members as b on a.block = b.block
where a.account_id < b.account_id
group by a.account_id, b.account_id
