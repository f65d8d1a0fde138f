-- Pairs of records of one component that cannot be one person's: somebody said so, or of name, birth date and national
--    id at least two are known of both, and all that are known differ wholly.
-- grain: left_id, right_id
-- store: table
-- why: in a component of more than $max_person_records records only linked pairs are looked at, as all would be too many; two
--    records that are a component are linked
with
sizes as (
    select
        component,
        count(*) as records
    from identity.components
    group by component
),

together as (
    select
        a.account_id as left_id,
        b.account_id as right_id
    from identity.components as a
    inner join identity.components as b on a.component = b.component
    inner join sizes as s on a.component = s.component
    where a.account_id < b.account_id and s.records between 3 and $max_person_records
    union
    select
        left_id,
        right_id
    from identity.links
),

compared as (
    select
        t.left_id,
        t.right_id,
        name_similarity(a.name, b.name) < .7 as other_name,
        edit_distance(a.birth_date, b.birth_date) > 2 as other_birth_date,
        edit_distance(a.national_id, b.national_id) > 1 as other_national_id,
        o.verdict
    from together as t
    inner join identity.records as a on t.left_id = a.account_id
    inner join identity.records as b on t.right_id = b.account_id
    left join staging.identity_overrides as o on t.left_id = o.left_id and t.right_id = o.right_id
)

select
    left_id,
    right_id
from compared
where
    verdict = 'different'
    or verdict is null
    and coalesce(other_name, true) and coalesce(other_birth_date, true) and coalesce(other_national_id, true)
    and cast(other_name is not null as int) + cast(other_birth_date is not null as int)
    + cast(other_national_id is not null as int) >= 2
