-- How many records share a block, for blocks of at least two.
-- grain: block
-- store: table
select
    block,
    min(rule) as rule,
    count(*) as records
from identity.blocks
group by block
having count(*) > 1
