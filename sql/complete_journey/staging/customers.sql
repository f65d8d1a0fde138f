-- One row per household that is described: bands of age and income, home and family, and nothing that names it.
-- grain: account_id
-- store: table
-- quarantine: rule
-- accounts: raw.demographics
-- why: a band is no age, so `age` stays NULL and the band is kept beside it
with
source as (
    select
        cast(household_id as varchar) as account_id,
        nullif(fold_width(age), '') as age_band,
        nullif(fold_width(income), '') as income_band,
        nullif(lower(fold_width(home_ownership)), '') as home_ownership,
        nullif(lower(fold_width(marital_status)), '') as marital_status,
        nullif(fold_width(household_size), '') as household_size,
        nullif(lower(fold_width(household_comp)), '') as household_kind,
        nullif(fold_width(kids_count), '') as kids
    from raw.demographics
),

-- Nothing says which of two descriptions is the newer one, so the first by its values stays.
cleaned as (
    select
        account_id,
        age_band,
        income_band,
        home_ownership,
        marital_status,
        household_size,
        household_kind,
        kids,
        row_number() over (
            partition by account_id
            order by age_band, income_band, home_ownership, marital_status, household_size, household_kind, kids
        ) as version
    from source
)

select
    account_id,
    cast(null as varchar) as system,
    cast(null as varchar) as full_name,
    cast(null as varchar) as email,
    cast(null as varchar) as phone,
    cast(null as date) as birth_date,
    cast(null as int) as age,
    cast(null as varchar) as gender,
    cast(null as varchar) as street,
    cast(null as varchar) as district,
    cast(null as varchar) as city,
    cast(null as varchar) as province,
    cast(null as varchar) as region,
    cast(null as varchar) as postcode,
    cast(null as varchar) as national_id,
    cast(null as timestamp(6)) as registered_at,
    cast(null as timestamp(6)) as updated_at,
    cast(null as varchar) as issues,
    age_band,
    income_band,
    home_ownership,
    marital_status,
    household_size,
    household_kind,
    kids,
    case
        when account_id is null then 'missing_key'
        when version > 1 then 'duplicate_account'
    end as rule
from cleaned
