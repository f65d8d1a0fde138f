-- How far the fields of two records agree, from 0 for not at all: of all candidate pairs, and of all pairs of a sample.
-- grain: sampled, left_id, right_id
-- store: table
-- why: the sample is the same on any layout; it shows how often fields of strangers agree. A field that one record
--    lacks is not compared
with
sample as (
    select account_id
    from identity.records
    order by row_hash(account_id), account_id
    limit 1000
),

chosen as (
    select
        false as sampled,
        left_id,
        right_id
    from identity.pairs
    union all
    select
        true as sampled,
        a.account_id as left_id,
        b.account_id as right_id
    from sample as a
    inner join sample as b on a.account_id < b.account_id
),

compared as (
    select
        c.sampled,
        c.left_id,
        c.right_id,
        a.name = b.name as same_name,
        case when a.name = b.name then a.name end as shared_name,
        name_similarity(a.name, b.name) as name_similarity,
        a.email = b.email as same_email,
        edit_distance(a.mailbox, b.mailbox) as mailbox_edits,
        edit_distance(a.phone, b.phone) as phone_edits,
        edit_distance(a.birth_date, b.birth_date) as birth_date_edits,
        a.gender = b.gender as same_gender,
        edit_distance(a.street, b.street) as street_edits,
        character_length(a.street) as street_length,
        edit_distance(a.postcode, b.postcode) as postcode_edits,
        edit_distance(a.national_id, b.national_id) as national_id_edits
    from chosen as c
    inner join identity.records as a on c.left_id = a.account_id
    inner join identity.records as b on c.right_id = b.account_id
)

select
    sampled,
    left_id,
    right_id,
    shared_name,
    case
        when same_name then 4
        when name_similarity >= .93 then 3
        when name_similarity >= .85 then 2
        when name_similarity >= .7 then 1
        when name_similarity is not null then 0
    end as name,
    case when same_email then 2 when mailbox_edits <= 1 then 1 when mailbox_edits is not null then 0 end as email,
    case when phone_edits = 0 then 2 when phone_edits = 1 then 1 when phone_edits is not null then 0 end as phone,
    case
        when birth_date_edits = 0 then 3
        when birth_date_edits = 1 then 2
        when birth_date_edits = 2 then 1
        when birth_date_edits is not null then 0
    end as birth_date,
    case when same_gender then 1 when not same_gender then 0 end as gender,
    case
        when street_edits = 0 then 3
        when street_edits <= 2 then 2
        when street_edits * 4 <= street_length then 1
        when street_edits is not null then 0
    end as street,
    case
        when postcode_edits = 0 then 2
        when postcode_edits = 1 then 1
        when postcode_edits is not null then 0
    end as postcode,
    case
        when national_id_edits = 0 then 2
        when national_id_edits = 1 then 1
        when national_id_edits is not null then 0
    end as national_id
from compared
