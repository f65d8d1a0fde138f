-- Records of each block that has at least two, and not too many.
-- grain: block, account_id
-- store: table
-- why: a block of very many records is a placeholder, such as the shop's own phone, and would take hours to pair
select
    b.block,
    b.account_id
from identity.blocks as b
inner join identity.block_sizes as s on b.block = s.block
where s.records <= $max_block
