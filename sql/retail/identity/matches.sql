-- The person of each account, named by the smallest account id among the person's.
-- grain: account_id
-- store: table
-- why: where a component holds a contradiction or too many records, its weakest links are cut until none is left
with
doubted as (
    select component
    from identity.components
    group by component
    having count(*) > $max_person_records
    union
    select c.component
    from identity.contradictions as x
    inner join identity.components as c on x.left_id = c.account_id
),

bonds as (
    select left_id, right_id, weight
    from identity.links
    union all
    select left_id, right_id, null as weight
    from identity.contradictions
),

grouped as (
    select
        d.component,
        array_agg(
            named_struct('left_id', b.left_id, 'right_id', b.right_id, 'weight', b.weight)
            order by b.left_id, b.right_id, b.weight
        ) as links
    from doubted as d
    inner join identity.components as c on d.component = c.component
    inner join bonds as b on c.account_id = b.left_id
    group by d.component
),

members as (
    select unnest(link_clusters(links, $max_person_records)) as member
    from grouped
),

cut as (
    select
        member['id'] as account_id,
        member['cluster'] as person_account
    from members
)

select
    a.account_id,
    coalesce(x.person_account, c.component, a.account_id) as person_account
from identity.accounts as a
left join identity.components as c on a.account_id = c.account_id
left join cut as x on a.account_id = x.account_id
