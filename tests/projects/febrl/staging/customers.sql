-- One row per record, its fields under the names of a customer's.
-- grain: account_id
-- store: table
-- quarantine: rule
-- accounts: raw.people
with
source as (
    select
        trim_to_null(rec_id) as account_id,
        trim_to_null(concat_ws(' ', trim_to_null(given_name), trim_to_null(surname))) as full_name,
        trim_to_null(concat_ws(' ', trim_to_null(street_number), trim_to_null(address_1))) as street,
        trim_to_null(suburb) as city,
        trim_to_null(state) as region,
        trim_to_null(postcode) as postcode,
        trim_to_null(date_of_birth) as birth_date,
        trim_to_null(soc_sec_id) as national_id
    from raw.people
)

select
    account_id,
    cast(null as varchar) as system,
    full_name,
    cast(null as varchar) as email,
    cast(null as varchar) as phone,
    parse_date(birth_date) as birth_date,
    cast(null as int) as age,
    cast(null as varchar) as gender,
    street,
    cast(null as varchar) as district,
    city,
    cast(null as varchar) as province,
    region,
    postcode,
    national_id,
    cast(null as timestamp(6)) as registered_at,
    cast(null as timestamp(6)) as updated_at,
    case when birth_date is not null and parse_date(birth_date) is null then 'invalid_birth_date' end as issues,
    case when account_id is null then 'missing_key' end as rule
from source
