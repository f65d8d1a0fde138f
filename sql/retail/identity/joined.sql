-- Names that hang together by bridges, each with the smallest of them.
-- grain: account_id
-- store: table
-- kind: fixpoint
-- start: identity.bridged
-- max_rounds: 100
-- why: each round hands the smallest name on along one bridge, and once more along the name itself
with
neighbours as (
    select left_component as account_id, right_component as other_id
    from identity.bridges
    union all
    select right_component as account_id, left_component as other_id
    from identity.bridges
),

by_bridge as (
    select
        n.account_id,
        min(p.component) as component
    from neighbours as n
    inner join $previous as p on n.other_id = p.account_id
    group by n.account_id
)

select
    p.account_id,
    least(p.component, b.component, n.component) as component
from $previous as p
left join by_bridge as b on p.account_id = b.account_id
left join $previous as n on p.component = n.account_id
