-- How far the fields of two records agree, from 0 for not at all, and on how frequent a value: of all candidate pairs, and of
--    all pairs of a sample.
-- grain: sampled, left_id, right_id
-- store: table
-- why: the sample is the same on any layout; it shows how often fields of strangers agree. A field that one record
--    lacks is not compared. A frequency is NULL where two records do not agree, and of values that nobody else bears. A
--    name of which one record keeps a part only is not compared where that part agrees, since a family shares it; a given name is
--    another one when more than two letters differ, however alike its surname makes the whole
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
        case when a.name = b.name then row_hash('name', a.name) end as shared_name,
        case when a.email = b.email then row_hash('email', a.email) end as shared_email,
        case when a.phone = b.phone then row_hash('phone', a.phone) end as shared_phone,
        case when a.birth_date = b.birth_date then row_hash('birth_date', a.birth_date) end as shared_birth_date,
        case when a.gender = b.gender then row_hash('gender', a.gender) end as shared_gender,
        case when a.street = b.street then row_hash('street', a.street) end as shared_street,
        case when a.postcode = b.postcode then row_hash('postcode', a.postcode) end as shared_postcode,
        case when a.national_id = b.national_id then row_hash('national_id', a.national_id) end as shared_national_id,
        a.name as left_name,
        b.name as right_name,
        name_similarity(a.name, b.name) as name_similarity,
        (a.second_word is null) <> (b.second_word is null) as name_in_part,
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
    c.sampled,
    c.left_id,
    c.right_id,
    case
        when c.same_name then 4
        when c.name_in_part and c.name_similarity >= .7 then cast(null as bigint)
        when c.name_similarity >= .93 then case when edit_distance(c.left_name, c.right_name) <= 2 then 3 else 2 end
        when c.name_similarity >= .85 then 2
        when c.name_similarity >= .7 then 1
        when c.name_similarity is not null then 0
    end as name,
    case when c.same_email then 2 when c.mailbox_edits <= 1 then 1 when c.mailbox_edits is not null then 0 end as email,
    case when c.phone_edits = 0 then 2 when c.phone_edits = 1 then 1 when c.phone_edits is not null then 0 end as phone,
    case
        when c.birth_date_edits = 0 then 3
        when c.birth_date_edits = 1 then 2
        when c.birth_date_edits = 2 then 1
        when c.birth_date_edits is not null then 0
    end as birth_date,
    case when c.same_gender then 1 when not c.same_gender then 0 end as gender,
    case
        when c.street_edits = 0 then 3
        when c.street_edits <= 2 then 2
        when c.street_edits * 4 <= c.street_length then 1
        when c.street_edits is not null then 0
    end as street,
    case
        when c.postcode_edits = 0 then 2
        when c.postcode_edits = 1 then 1
        when c.postcode_edits is not null then 0
    end as postcode,
    case
        when c.national_id_edits = 0 then 2
        when c.national_id_edits = 1 then 1
        when c.national_id_edits is not null then 0
    end as national_id,
    n.share as name_share,
    e.share as email_share,
    p.share as phone_share,
    d.share as birth_date_share,
    g.share as gender_share,
    s.share as street_share,
    z.share as postcode_share,
    i.share as national_id_share
from compared as c
left join identity.frequencies as n on n.field = 'name' and c.shared_name = n.value
left join identity.frequencies as e on e.field = 'email' and c.shared_email = e.value
left join identity.frequencies as p on p.field = 'phone' and c.shared_phone = p.value
left join identity.frequencies as d on d.field = 'birth_date' and c.shared_birth_date = d.value
left join identity.frequencies as g on g.field = 'gender' and c.shared_gender = g.value
left join identity.frequencies as s on s.field = 'street' and c.shared_street = s.value
left join identity.frequencies as z on z.field = 'postcode' and c.shared_postcode = z.value
left join identity.frequencies as i on i.field = 'national_id' and c.shared_national_id = i.value
