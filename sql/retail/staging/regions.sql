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
        ingested_at
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
        row_number() over (
            partition by region_id
            order by ingested_at desc nulls last, name, city, part, kind, x_km, y_km, centre_km, station_km
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
        when version > 1 then 'superseded_region'
    end as rule
from ranked
