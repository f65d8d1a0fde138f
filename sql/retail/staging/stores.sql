-- One row per store.
-- grain: store_id
-- store: table
-- quarantine: rule
-- accounts: raw.stores
with
source as (
    select
        trim_to_null(store_id) as store_id,
        name,
        trim_to_null(city) as city,
        trim_to_null(region_id) as region_id,
        x_km,
        y_km,
        opened_on,
        ingested_at,
        out_of_range($earliest_date, $latest_date, opened_on, ingested_at) as out_of_range
    from raw.stores
),

-- The version known last sorts first.
ranked as (
    select
        store_id,
        name,
        city,
        region_id,
        x_km,
        y_km,
        opened_on,
        out_of_range,
        row_number() over (
            partition by store_id
            order by out_of_range, ingested_at desc nulls last, name, city, region_id, x_km, y_km, opened_on
        ) as version
    from source
)

select
    store_id,
    name,
    city,
    region_id,
    x_km,
    y_km,
    opened_on,
    case
        when store_id is null then 'missing_key'
        when out_of_range then 'out_of_range'
        when version > 1 then 'superseded_store'
    end as rule
from ranked
