-- Per cleaning rule: how many rows it rejected, how many values it emptied, filled or noted, of all rows that came to the stage.
-- grain: as_of, stage, rule
-- store: table
-- publish: as_of
-- why: two examples of each are named by pseudonyms of stage and key: who has the secret finds the rows, and nobody else can
--    tell whose they are, as no other published table has these pseudonyms
with
counts as (
    select stage, action, rule, rows, first_key, last_key
    from facts.row_counts
    union all
    select 'identity.pairs', 'not_paired', rule, sum(records), null, null
    from identity.block_sizes
    where records > $max_block
    group by rule
    union all
    select 'identity.pairs', 'kept', 'kept', count(*), null, null
    from identity.records
    union all
    select 'features.purchases', 'kept', 'kept', coalesce(sum(orders_read), 0), null, null
    from features.purchases
    union all
    select 'features.returned', 'kept', 'kept', coalesce(sum(returns), 0), null, null
    from features.returned
    union all
    select 'features.opinions', 'kept', 'kept', coalesce(sum(texts_read), 0), null, null
    from features.opinions
    union all
    select 'features.activity', 'kept', 'kept', coalesce(sum(events), 0), null, null
    from features.activity
    union all
    select 'features.responses', 'kept', 'kept', coalesce(sum(messages), 0), null, null
    from features.responses
    union all
    select 'features.known_seeds', 'kept', 'kept', count(*), null, null
    from features.known_seeds
    union all
    select 'features.known_seeds', 'rejected', rule, count(*), min(customer_id), max(customer_id)
    from quarantine.known_seeds
    group by rule
    union all
    select
        'features.purchases', 'rejected', rule, sum(orders_read), min(orphan_account_id), max(orphan_account_id)
    from quarantine.purchases
    group by rule
    union all
    select
        'features.opinions', 'rejected', rule, sum(texts_read), min(orphan_account_id), max(orphan_account_id)
    from quarantine.opinions
    group by rule
    union all
    select
        'features.returned',
        'rejected',
        rule,
        sum(returns),
        cast(min(orphan_return_id) as varchar),
        cast(max(orphan_return_id) as varchar)
    from quarantine.returned
    group by rule
    union all
    select 'features.activity', 'rejected', rule, sum(events), null, null
    from quarantine.activity
    group by rule
    union all
    select 'features.responses', 'rejected', rule, sum(messages), null, null
    from quarantine.responses
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
    r.column_name,
    r.severity,
    c.action,
    cast(c.rows as bigint) as rows,
    cast(c.rows as double) / nullif(t.total, 0) as share,
    case when c.first_key is not null then pseudonym(concat_ws(' ', c.stage, c.first_key), $pseudonym_key) end as first_example,
    case when c.last_key is not null then pseudonym(concat_ws(' ', c.stage, c.last_key), $pseudonym_key) end as last_example,
    r.meaning
from counts as c
inner join totals as t on c.stage = t.stage
left join staging.cleaning_rules as r on c.stage = r.stage and c.rule = r.rule
where c.action <> 'kept'
