-- Why two records are, or are not, taken for one person's: for each link, what was known before and what each field adds.
-- grain: left_id, right_id, field
-- store: table
-- why: bits of a link add up to its odds against strangers, and against members of a household; the link's own weight is
--    the odds against both. `value_share` is the share of records that bear the value on which both agree, and
--    `frequency_bits` what of the bits against strangers comes of it: below 0 of a value more frequent than others. A link
--    inside one person that was cut is told as such
with
linked as (
    select
        a.left_id,
        a.right_id,
        a.levels,
        a.chances,
        match_weights(a.levels, a.chances, $link_model) as weights,
        match_weights(
            a.levels, [null, null, null, null, null, null, null, null], $link_model
        )['against_strangers'] as at_large,
        p.person_account = q.person_account as one_person
    from identity.agreements as a
    inner join identity.links as l on a.left_id = l.left_id and a.right_id = l.right_id
    inner join identity.matches as p on a.left_id = p.account_id
    inner join identity.matches as q on a.right_id = q.account_id
),

spread as (
    select
        left_id,
        right_id,
        one_person,
        weights['total'] as weight,
        unnest(
            ['before', 'name', 'email', 'phone', 'birth_date', 'gender', 'street', 'postcode', 'national_id']
        ) as field,
        unnest(array_prepend(cast(null as bigint), levels)) as level,
        unnest(array_prepend(cast(null as double), chances)) as value_share,
        unnest(weights['against_strangers']) as against_strangers,
        unnest(at_large) as at_large,
        unnest(weights['against_household']) as against_household
    from linked
)

select
    left_id,
    right_id,
    field,
    level,
    value_share,
    against_strangers,
    against_strangers - at_large as frequency_bits,
    against_household,
    weight,
    one_person
from spread
where field = 'before' or level is not null
