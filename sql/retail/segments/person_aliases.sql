-- Customer ids of which accounts went to another customer since the run before, by merges and splits.
-- grain: as_of, former_id, customer_id
-- store: table
-- publish: as_of
-- why: `merged` when the former id has no account any more, so that the other one stands for it; else `split`; `renamed`
--    when all ids are new, as the key of pseudonyms was changed
with
latest as (
    select max(as_of) as as_of
    from person_registry
    where as_of < $as_of
),

moves as (
    select
        r.customer_id as former_id,
        n.customer_id,
        count(*) as accounts
    from person_registry as r
    inner join latest as l on r.as_of = l.as_of
    inner join segments.person_registry as n on r.account_key = n.account_key
    group by r.customer_id, n.customer_id
),

renamed as (
    select
        f.customer_id as former_id,
        n.customer_id,
        count(*) as accounts
    from former.account_person as f
    inner join identity.account_person as n on f.account_id = n.account_id
    where f.customer_id <> n.customer_id
    group by f.customer_id, n.customer_id
),

living as (
    select customer_id
    from segments.person_registry
    group by customer_id
)

select
    $as_of as as_of,
    m.former_id,
    m.customer_id,
    case when l.customer_id is null then 'merged' else 'split' end as change,
    m.accounts
from moves as m
left join living as l on m.former_id = l.customer_id
where m.former_id <> m.customer_id
union all
select
    $as_of,
    former_id,
    customer_id,
    'renamed',
    accounts
from renamed
