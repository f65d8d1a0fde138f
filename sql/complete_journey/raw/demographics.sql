-- What is known of some households, in bands.
-- grain: household_id
create external table raw.demographics (
    household_id bigint,
    age varchar,
    income varchar,
    home_ownership varchar,
    marital_status varchar,
    household_size varchar,
    household_comp varchar,
    kids_count varchar
)
stored as parquet
location 'raw/demographics/'
