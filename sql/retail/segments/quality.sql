-- How many rows each rule rejected, and how many values it emptied, of all rows that came to the stage.
-- grain: as_of, stage, rule
-- store: table
-- publish: as_of
with
counts as (
    select stage, action, rule, rows
    from facts.row_counts
    union all
    select 'identity.pairs' as stage, 'not_paired' as action, rule, sum(records) as rows
    from identity.block_sizes
    where records > $max_block
    group by rule
    union all
    select 'identity.pairs' as stage, 'kept' as action, 'kept' as rule, count(*) as rows
    from identity.records
    union all
    select 'features.purchases' as stage, 'kept' as action, 'kept' as rule, coalesce(sum(orders_read), 0) as rows
    from features.purchases
    union all
    select 'features.returned' as stage, 'kept' as action, 'kept' as rule, coalesce(sum(returns), 0) as rows
    from features.returned
    union all
    select 'features.activity' as stage, 'kept' as action, 'kept' as rule, coalesce(sum(events), 0) as rows
    from features.activity
    union all
    select 'features.purchases' as stage, 'rejected' as action, rule, sum(orders_read) as rows
    from quarantine.purchases
    group by rule
    union all
    select 'features.returned' as stage, 'rejected' as action, rule, sum(returns) as rows
    from quarantine.returned
    group by rule
    union all
    select 'features.activity' as stage, 'rejected' as action, rule, sum(events) as rows
    from quarantine.activity
    group by rule
),

totals as (
    select stage, sum(rows) as total
    from counts
    where action in ('kept', 'rejected')
    group by stage
)

select
    $as_of as as_of,
    c.stage,
    c.rule,
    c.action,
    cast(c.rows as bigint) as rows,
    cast(c.rows as double) / nullif(t.total, 0) as share
from counts as c
inner join totals as t on c.stage = t.stage
where c.action <> 'kept'
