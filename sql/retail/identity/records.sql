-- What is compared of each customer record, in a form in which spellings of one value are equal.
-- grain: account_id
-- store: table
-- why: words of a name are in the order of the alphabet, since systems order them differently
with
folded as (
    select
        account_id,
        latin_name(full_name) as name,
        email,
        phone,
        birth_date,
        gender,
        nullif(regexp_replace(lower(concat_ws('', district, street)), '[\s,.-]+', '', 'g'), '') as street,
        nullif(regexp_replace(postcode, '[\s-]+', '', 'g'), '') as postcode,
        nullif(regexp_replace(upper(national_id), '[\s-]+', '', 'g'), '') as national_id
    from staging.customers
)

select
    account_id,
    name,
    nullif(split_part(name, ' ', 1), '') as first_word,
    nullif(split_part(name, ' ', 2), '') as second_word,
    email,
    split_part(email, '@', 1) as mailbox,
    phone,
    to_char(birth_date, '%Y%m%d') as birth_date,
    gender,
    street,
    postcode,
    national_id
from folded
