-- Records that hang together by links, named by the smallest account id among them.
-- grain: account_id
-- store: table
-- kind: fixpoint
-- start: identity.linked
-- max_rounds: 100
-- why: each round hands the smallest name on along one link, and once more along the name itself
with
neighbours as (
    select left_id as account_id, right_id as other_id
    from identity.links
    union all
    select right_id as account_id, left_id as other_id
    from identity.links
),

by_link as (
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
left join by_link as b on p.account_id = b.account_id
left join $previous as n on p.component = n.account_id
