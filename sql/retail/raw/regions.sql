-- The zones of every city, named as in `raw.events.place`; kilometres from the city's south-west corner, its centre
--    and its main station.
-- grain: region_id
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.regions (
    region_id varchar,
    name varchar,
    city varchar,
    part varchar,
    kind varchar,
    x_km double,
    y_km double,
    centre_km double,
    station_km double,
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/regions/'
