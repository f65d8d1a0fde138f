-- One row per zone of a city.
-- grain: region_id
-- store: table
-- quarantine: rule
-- accounts: raw.regions
with
source as (
    select
        trim_to_null(region_id) as region_id,
        name,
        trim_to_null(city) as city,
        part,
        lower(trim(kind)) as kind,
        x_km,
        y_km,
        centre_km,
        station_km,
        ingested_at,
        out_of_range($earliest_date, $latest_date, ingested_at) as out_of_range
    from raw.regions
),

-- The version known last sorts first.
ranked as (
    select
        region_id,
        name,
        city,
        part,
        kind,
        x_km,
        y_km,
        centre_km,
        station_km,
        out_of_range,
        row_number() over (
            partition by region_id
            order by out_of_range, ingested_at desc nulls last, name, city, part, kind, x_km, y_km, centre_km, station_km
        ) as version
    from source
)

select
    region_id,
    name,
    city,
    part,
    kind,
    x_km,
    y_km,
    centre_km,
    station_km,
    case
        when region_id is null then 'missing_key'
        when out_of_range then 'out_of_range'
        when version > 1 then 'superseded_region'
    end as rule
from ranked
