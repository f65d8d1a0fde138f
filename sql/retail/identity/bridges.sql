-- Pairs of names that two linked records got, where these differ: what is left to be joined.
-- grain: left_component, right_component
-- store: table
with
named as (
    select
        least(a.component, b.component) as left_component,
        greatest(a.component, b.component) as right_component
    from identity.links as l
    inner join identity.linked as a on l.left_id = a.account_id
    inner join identity.linked as b on l.right_id = b.account_id
    where a.component <> b.component
)

select
    left_component,
    right_component
from named
group by left_component, right_component
