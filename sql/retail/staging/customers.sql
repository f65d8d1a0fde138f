-- One row per account of a source system: contacts, dates, addresses and codes in one form, unreadable values as NULL.
-- grain: account_id
-- store: table
-- quarantine: rule
-- accounts: raw.crm_customers
-- why: what is done about a broken rule stands in `staging.cleaning_rules`; `issues` names the rules that a row breaks. Of
--    several versions of a record the one updated last stays, delivered copies of it go; an update dated after its delivery is
--    no reason to stay
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
        nullif(lower(fold_width(gender)), '') as gender,
        nullif(fold_width(address), '') as address,
        nullif(fold_width(city), '') as city,
        nullif(fold_width(region), '') as region,
        case when not out_of_range($earliest_date, $latest_date, registered_at) then registered_at end as registered_at,
        case when not out_of_range($earliest_date, $latest_date, updated_at) then updated_at end as updated_at,
        case when not out_of_range($earliest_date, $latest_date, registered_at)
            then coalesce(registered_at > ingested_at, false) else false end as future_registration,
        case when not out_of_range($earliest_date, $latest_date, updated_at)
            then coalesce(updated_at > ingested_at, false) else false end as future_update,
        case when not out_of_range($earliest_date, $latest_date, ingested_at) then ingested_at end as ingested_at,
        out_of_range($earliest_date, $latest_date, registered_at, updated_at, ingested_at) as out_of_range
    from raw.crm_customers
),

-- The version updated last sorts first; accounts are dealt to 64 lots, since a window for each would cost many times
-- more.
followed as (
    select
        account_id,
        system,
        full_name,
        email,
        phone,
        birth_date,
        age,
        gender,
        address,
        city,
        region,
        registered_at,
        updated_at,
        future_registration,
        future_update,
        ingested_at,
        out_of_range,
        lag(account_id) over lot as account_before,
        lag(updated_at) over lot as updated_before
    from source
    window lot as (
        partition by row_hash(account_id) % 64
        order by
            account_id, future_update, updated_at desc nulls last, ingested_at, system, full_name, email, phone,
            birth_date, age, gender, address, city, region, registered_at, out_of_range
    )
),

parsed as (
    select
        account_id,
        system,
        normalize_name(full_name) as full_name,
        normalize_email(email) as email,
        normalize_phone(phone, $default_country) as phone,
        parse_date(birth_date) as birth_date,
        age,
        case
            when gender in ('f', 'female', 'woman', '女', '女士', '女性') then 'female'
            when gender in ('m', 'male', 'man', '男', '先生', '男性') then 'male'
        end as gender,
        split_address(address) as place,
        city,
        region,
        registered_at,
        updated_at,
        future_registration,
        future_update,
        local_date(ingested_at, $time_zone) as known_on,
        out_of_range,
        email is not null as has_email,
        phone is not null as has_phone,
        birth_date is not null as has_birth_date,
        gender is not null as has_gender,
        case
            when account_id is null then 'missing_key'
            when account_before = account_id and updated_at is distinct from updated_before then 'superseded_account'
            when account_before = account_id then 'duplicate_account'
        end as broken
    from followed
),

rules as (
    select
        array_agg(rule order by rule) filter (where action = 'fix') as fixing,
        array_agg(rule order by rule) filter (where action = 'null') as emptying,
        array_agg(rule order by rule) filter (where action = 'quarantine') as rejecting
    from staging.cleaning_rules
    where stage = 'staging.customers'
),

providers as (
    select array_agg(domain order by domain) as domains
    from staging.mail_providers
),

compared as (
    select
        p.account_id,
        p.system,
        p.full_name,
        p.email,
        p.phone,
        p.birth_date,
        p.age,
        p.gender,
        p.place,
        p.city,
        p.region,
        p.registered_at,
        p.updated_at,
        p.out_of_range,
        p.future_registration,
        p.future_update,
        p.has_email,
        p.has_phone,
        p.has_birth_date,
        p.has_gender,
        p.broken,
        p.birth_date < date '1900-01-01' or p.birth_date > p.known_on as impossible_birth_date,
        p.age not between 0 and 120 as outlier_age,
        cast(date_part('year', p.known_on) - date_part('year', p.birth_date) as int)
        - case when to_char(p.known_on, '%m%d') < to_char(p.birth_date, '%m%d') then 1 else 0 end as years,
        closest(split_part(p.email, '@', 2), d.domains, 1) as provider
    from parsed as p
    cross join providers as d
),

judged as (
    select
        account_id,
        system,
        full_name,
        email,
        phone,
        birth_date,
        age,
        gender,
        place,
        city,
        region,
        registered_at,
        updated_at,
        broken,
        impossible_birth_date,
        years,
        provider,
        nullif(
            concat_ws(
                ' ',
                case when has_email and email is null then 'invalid_email' end,
                case when provider <> split_part(email, '@', 2) then 'typo_email_domain' end,
                case when has_phone and phone is null then 'invalid_phone' end,
                case when has_birth_date and birth_date is null then 'invalid_birth_date' end,
                case when impossible_birth_date then 'impossible_birth_date' end,
                case when outlier_age then 'outlier_age' end,
                case
                    when not outlier_age and not impossible_birth_date and abs(cast(age as bigint) - years) > $max_age_gap
                        then 'contradicting_age'
                end,
                case when age is null and years is not null and not impossible_birth_date then 'missing_age' end,
                case when has_gender and gender is null then 'unknown_gender' end,
                case when out_of_range then 'out_of_range' end,
                case when future_registration then 'future_registration' end,
                case when future_update then 'future_update' end,
                case when city is null and place['city'] is not null then 'missing_city' end
            ),
            ''
        ) as issues
    from compared
),

-- Issues as a list for the rules that look into it.
listed as (
    select
        j.account_id,
        j.system,
        j.full_name,
        j.email,
        j.phone,
        j.birth_date,
        j.age,
        j.gender,
        j.place,
        j.city,
        j.region,
        j.registered_at,
        j.updated_at,
        j.broken,
        j.years,
        j.provider,
        j.issues,
        array_intersect(string_to_array(j.issues, ' '), r.fixing) as fixed,
        array_intersect(string_to_array(j.issues, ' '), r.emptying) as emptied,
        array_intersect(string_to_array(j.issues, ' '), r.rejecting) as rejected
    from judged as j
    cross join rules as r
)

select
    account_id,
    system,
    full_name,
    case when array_has(fixed, 'typo_email_domain') then concat(split_part(email, '@', 1), '@', provider) else email end
        as email,
    phone,
    case when array_has(emptied, 'impossible_birth_date') then null else birth_date end as birth_date,
    cast(
        case
            when array_has(fixed, 'missing_age') then years
            when array_has(emptied, 'outlier_age') or array_has(emptied, 'contradicting_age') then null
            else age
        end as int
    ) as age,
    gender,
    place['street'] as street,
    place['district'] as district,
    case when array_has(fixed, 'missing_city') then place['city'] else city end as city,
    place['province'] as province,
    region,
    place['postcode'] as postcode,
    cast(null as varchar) as national_id,
    case when array_has(emptied, 'future_registration') then null else registered_at end as registered_at,
    case when array_has(emptied, 'future_update') then null else updated_at end as updated_at,
    issues,
    coalesce(broken, array_sort(rejected)[1]) as rule
from listed
