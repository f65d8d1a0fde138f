-- The weather of one city on one day.
-- grain: city, weather_date
-- store: table
-- quarantine: rule
-- accounts: raw.weather
-- why: a measure that cannot be is emptied and flagged, the day stays; of several deliveries the one known last stays
with
source as (
    select
        trim_to_null(city) as city,
        weather_date,
        rain_mm,
        coalesce(not rain_mm between 0 and 2000, false) as invalid_rain,
        temperature_c,
        coalesce(not temperature_c between -90 and 60, false) as invalid_temperature,
        ingested_at,
        out_of_range($earliest_date, $latest_date, weather_date, ingested_at) as out_of_range
    from raw.weather
),

-- The version known last sorts first.
ranked as (
    select
        city,
        weather_date,
        rain_mm,
        invalid_rain,
        temperature_c,
        invalid_temperature,
        out_of_range,
        row_number() over (
            partition by city, weather_date
            order by out_of_range, ingested_at desc nulls last, rain_mm, temperature_c
        ) as version
    from source
)

select
    city,
    weather_date,
    case when not invalid_rain then rain_mm end as rain_mm,
    invalid_rain,
    case when not invalid_temperature then temperature_c end as temperature_c,
    invalid_temperature,
    case
        when city is null or weather_date is null then 'missing_key'
        when out_of_range then 'out_of_range'
        when version > 1 then 'duplicate_weather'
    end as rule
from ranked
