-- Rain and mean temperature of a city and local day.
-- grain: city, weather_date
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.weather (
    city varchar,
    weather_date date,
    rain_mm double,
    temperature_c double,
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/weather/'
