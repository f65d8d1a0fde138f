-- How far the fields of the two records of each candidate pair agree, with how frequent the value is on which they do.
-- grain: left_id, right_id
-- store: view
-- why: agreement on a rare value says more than on a frequent one
select
    left_id,
    right_id,
    [name, email, phone, birth_date, gender, street, postcode, national_id] as levels,
    [
        name_share, email_share, phone_share, birth_date_share, gender_share, street_share, postcode_share, national_id_share
    ] as chances
from identity.levels
where not sampled
