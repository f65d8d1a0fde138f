-- Records with a link, each with the smallest account id among itself and those it is linked to.
-- grain: account_id
-- store: table
-- why: where all records of a person are linked to each other, as most are, that names the component already
with
neighbours as (
    select left_id as account_id, right_id as other_id
    from identity.links
    union all
    select right_id as account_id, left_id as other_id
    from identity.links
)

select
    account_id,
    least(account_id, min(other_id)) as component
from neighbours
group by account_id
