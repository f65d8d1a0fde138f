-- One row per account of a source system: contacts, dates and codes in one form, unreadable values as NULL.
-- grain: account_id
-- store: table
-- quarantine: rule
-- accounts: raw.crm_customers
-- why: a value that cannot be read is emptied and flagged, the record stays; of several versions of a record
--    the one updated last stays, delivered copies of it go
with
source as (
    select
        trim_to_null(account_id) as account_id,
        lower(fold_width(system)) as system,
        nullif(fold_width(full_name), '') as full_name,
        nullif(fold_width(email), '') as email,
        nullif(fold_width(phone), '') as phone,
        nullif(fold_width(birth_date), '') as birth_date,
        age,
        lower(fold_width(gender)) as gender,
        nullif(fold_width(address), '') as street,
        nullif(fold_width(city), '') as city,
        nullif(fold_width(region), '') as region,
        registered_at,
        updated_at,
        ingested_at
    from raw.crm_customers
),

-- The version updated last sorts first; accounts are dealt to 64 lots, since a window for each would cost many times
-- more.
cleaned as (
    select
        account_id,
        system,
        normalize_name(full_name) as full_name,
        normalize_email(email) as email,
        normalize_phone(phone, 'CN') as phone,
        parse_date(birth_date) as birth_date,
        case when age between 0 and 120 then age end as age,
        case
            when gender in ('f', 'female', 'woman', '女', '女士', '女性') then 'female'
            when gender in ('m', 'male', 'man', '男', '先生', '男性') then 'male'
        end as gender,
        street,
        city,
        region,
        registered_at,
        updated_at,
        email is not null and normalize_email(email) is null as invalid_email,
        phone is not null and normalize_phone(phone, 'CN') is null as invalid_phone,
        birth_date is not null and parse_date(birth_date) is null as invalid_birth_date,
        age is not null and age not between 0 and 120 as outlier_age,
        lag(account_id) over lot as account_before,
        lag(updated_at) over lot as updated_before
    from source
    window lot as (
        partition by row_hash(account_id) % 64
        order by
            account_id, updated_at desc nulls last, ingested_at, system, full_name, email, phone, birth_date, age,
            gender, street, city, region, registered_at
    )
)

select
    account_id,
    system,
    full_name,
    email,
    phone,
    birth_date,
    cast(age as int) as age,
    gender,
    street,
    city,
    region,
    cast(null as varchar) as postcode,
    cast(null as varchar) as national_id,
    registered_at,
    updated_at,
    invalid_email,
    invalid_phone,
    invalid_birth_date,
    outlier_age,
    case
        when account_id is null then 'missing_key'
        when account_before = account_id and updated_at is distinct from updated_before then 'superseded_account'
        when account_before = account_id then 'duplicate_account'
    end as rule
from cleaned
