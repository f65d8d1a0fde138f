-- Clicks of the data set `ecom` of retentioneering.
-- grain: user_id
-- event_time: timestamp
-- clock: true
create external table raw.events (
    user_id varchar,
    session_id varchar,
    event varchar,
    timestamp timestamp(6),
    platform varchar,
    acquisition_channel varchar,
    user_cohort varchar,
    user_lifecycle varchar
)
stored as csv
location 'raw/ecom/'
